"""The command ``hardcover``. Imports nothing heavy before a command needs it."""

import argparse
import importlib
import json
import os
import sys
import traceback
from types import ModuleType
from typing import Any

from hardcover import __version__, settings
from hardcover.cli import progress
from hardcover.errors import HardcoverError

# The commands, each in the module that has its options and does it.
COMMANDS = {
    "inspect": "inspect",
    "new": "new",
    "add": "add",
    "upgrade": "upgrade",
    "run": "run",
    "tune": "tune",
    "lineage": "lineage",
    "prove": "prove",
    "release": "release",
    "reproduce": "reproduce",
    "list": "listing",
    "features": "features",
    "materialize": "materialize",
    "promote": "promote",
    "rollback": "rollback",
    "history": "history",
    "serve": "serve",
    "deploy": "deploy",
    "collect": "collect",
    "labels": "labels",
    "monitor": "monitor",
    "cycle": "cycle",
    "simulate": "simulate",
    "verify": "verify",
    "clean": "clean",
}
# Packages that the extra "project" does not bring.
EXTRAS = {
    "httptools": "serve",
    "jupyterlab": "lab",
    "openlineage": "openlineage",
    "orjson": "serve",
    "uvloop": "serve",
    "valkey": "valkey",
    "ziglang": "cross",
}


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 well, 1 on any failure and on Ctrl-C, 2 on wrong usage."""
    return perform(parser().parse_args(arguments))


def perform(options: argparse.Namespace) -> int:
    """Run the command that the options of `parser` name; return as `main` does."""
    try:
        if options.env:
            settings.enter(options.env)
        return options.do(options)
    except BrokenPipeError:
        # The reader, such as head, closed the pipe; redirect stdout so that the final flush does not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        progress.clear()
        if options.debug:
            print(getattr(error, "traceback", ""), file=sys.stderr)
            traceback.print_exc()
        if options.json:
            print(json.dumps(_as_json(error), default=str))
        print(f"error: {_sentence(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        progress.clear()
        print("error: stopped by Ctrl-C before any stage began.", file=sys.stderr)
        return 1


def _as_json(error: Exception) -> dict[str, Any]:
    """Return an error with ``what`` happened, ``where``, the ``fix``, and the ``facts`` of its class, such as the known names."""
    found = {"error": str(error), "kind": type(error).__name__}
    if isinstance(error, HardcoverError):
        facts = dict(vars(error))
        found |= {name: facts.pop(name) for name in ("what", "where", "fix")}
        found["facts"] = facts
    return found


def _sentence(error: Exception) -> str:
    if isinstance(error, HardcoverError):
        return str(error)
    if isinstance(error, ModuleNotFoundError) and error.name:
        missing = error.name.partition(".")[0]
        extra = EXTRAS.get(missing, "project")
        return f"the package {missing!r} is not installed. Run: pip install 'hardcover[{extra}]'."
    return f"{type(error).__name__}: {error}\nRun again with --debug to see where."


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands; each sets ``do``, which takes the options."""
    found = _commands()
    whole = argparse.ArgumentParser(
        prog="hardcover",
        description="From notebooks to a proven, importable model.",
        epilog=found["run"].EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    whole.add_argument("--version", action="version", version=f"hardcover {__version__}")
    commands = whole.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in found.items():
        each = commands.add_parser(
            name,
            help=module.PURPOSE,
            description=module.DESCRIPTION,
            epilog=module.EXAMPLES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_options(each)
        each.add_argument("--env", metavar="ENV", help="a folder of conf/: local (default), ci, production")
        each.add_argument("--json", action="store_true", help="the result as JSON on standard output")
        each.add_argument("--debug", action="store_true", help="show tracebacks")
        each.set_defaults(do=module.do)
    return whole


def _commands() -> dict[str, ModuleType]:
    return {name: importlib.import_module(f"hardcover.cli.{module}") for name, module in COMMANDS.items()}
