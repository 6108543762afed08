"""``hardcover reproduce``: run a past run again, from its commit, and compare every output."""

import argparse
import json

from hardcover.cli import progress

PURPOSE = "run a past run again, from its commit, and compare every output"
DESCRIPTION = """Check out a run's commit, install its lock file, pin what it read, run, and compare by bytes. Of a pass of the loop, CASE.watch@NUMBER: from the state
before it, with the versions, wheels and options of then, compute what it saw and decided, and compare."""
EXAMPLES = """examples:
  hardcover reproduce d0f66511           the first digits of the run's id will do
  hardcover reproduce churn.watch@12     the twelfth pass of hardcover cycle; without a number, the newest
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("run", metavar="RUN")


def do(options: argparse.Namespace) -> int:
    """Run a past run again and compare every output; 1 when any differs."""
    case, of_loop, number = options.run.partition(".watch")
    if of_loop:
        return _do_pass(case, number, options.json)
    from hardcover.lineage import reproduce

    found = reproduce.reproduce(options.run, progress.say)
    progress.clear()
    print(json.dumps(found, indent=2) if options.json else "\n".join(reproduce.lines(found)))
    return 0 if found["identical"] else 1


def _do_pass(case: str, number: str, as_json: bool) -> int:
    from hardcover.errors import HardcoverError
    from hardcover.monitoring import again

    if number and not number.removeprefix("@").isdecimal():
        fix = "Such as churn.watch@12, or churn.watch for the newest."
        raise HardcoverError(f"{number!r} names no pass", "the argument RUN", fix)
    found = again.reproduce(case, int(number[1:]) if number else None)
    lines = [f"pass {found['pass']} of {case}: {'identical' if found['identical'] else 'differs'}"]
    lines += [f"  {name}: {state}" for name, state in found["outputs"].items()]
    print(json.dumps(found, indent=2) if as_json else "\n".join(lines))
    return 0 if found["identical"] else 1
