"""``%load_ext hardcover``: a kernel gets the project's catalog and parameters, and commands on the notebook's case.

It goes together with ``%load_ext kedro.ipython``, which gives Kedro's own names.
"""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from IPython.display import display

from hardcover import settings
from hardcover.cli import tables
from hardcover.errors import HardcoverError
from hardcover.notebooks import front_end, stale_modules
from hardcover.project import cases, shown

USAGE = """%hardcover run [STAGE ...] [OPTIONS]    this case, exported first; options as 'hardcover run --help' lists them
%hardcover why                          of each node of the newest run, why it ran or was reused
%hardcover prove [OPTIONS]              all faces compared, to the bit
%hardcover lineage [DATASET]            where a version came from and what was made of it; by default the wheel
%hardcover case NAME                    another case"""
_COLORS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")


def load(shell: Any) -> None:
    """Put ``catalog``, ``params``, ``case`` and ``here`` into a shell, and register ``%hardcover``.

    ``case`` is the name of the case that the notebook is about: that of its folder, else the one that the notebook already names,
    else the project's first. ``here`` is the `Case`, ``params`` its parameters, ``catalog`` Kedro's, of all cases.
    """
    settings.make_importable()
    shell.register_magic_function(lambda line: command(shell, line), "line", "hardcover")
    stale_modules.watch(settings.package_name())
    known = cases.names()
    if known:
        notebook = front_end.notebook_of(shell)
        folder = notebook.resolve().parent.name if notebook else ""
        named = shell.user_ns.get("case")
        enter(shell, next((name for name in (folder, named) if name in known), known[0]))


def enter(shell: Any, name: str) -> None:
    """Make a case the one that the shell's names and commands are about."""
    from hardcover.project.case import Case

    cases.check(name)
    here = Case(name, shell.user_ns.get("env"))
    shell.push({"case": name, "here": here, "params": here.parameters, "catalog": here.catalog})
    others = [other for other in cases.names() if other != name]
    also = f" (others: {', '.join(others)}; %hardcover case NAME)" if others else ""
    print(
        f"case {name!r}, environment {here.env!r}{also}: catalog, params, case, here; %hardcover lists commands"
    )


def command(shell: Any, line: str) -> None:
    """Run ``%hardcover``'s line."""
    words = shlex.split(line)
    verb, rest = (words[0], words[1:]) if words else ("", [])
    known = {"run": _run, "why": _why, "prove": _prove, "lineage": _lineage, "case": _case}
    if verb not in known:
        print(USAGE)
        return
    try:
        known[verb](shell, rest)
    except HardcoverError as error:
        print(f"error: {error}")


def _case(shell: Any, rest: list[str]) -> None:
    enter(shell, rest[0] if rest else shell.user_ns["case"])


def _environment(shell: Any) -> list[str]:
    return ["--env", shell.user_ns["here"].env]


def _run(shell: Any, rest: list[str]) -> None:
    first = next((place for place, word in enumerate(rest) if word.startswith("-")), len(rest))
    stages, options = rest[:first], rest[first:]
    more = ["--stage", *stages] if stages else []
    _call("run", shell.user_ns["case"], "--export", *_environment(shell), *more, *options)


def _prove(shell: Any, rest: list[str]) -> None:
    if _call("prove", shell.user_ns["case"], *_environment(shell), *rest) == 0 and not rest:
        _show(shown.framed(shell.user_ns["here"].load("proof_page")))


def _why(shell: Any, rest: list[str]) -> None:
    from hardcover.lineage import graph, run_records

    name = shell.user_ns["case"]
    for run in run_records.runs():
        nodes = {
            node: facts for node, facts in graph.of_run(run)["nodes"].items() if node.startswith(f"{name}.")
        }
        if nodes:
            print("\n".join([f"run {run}", *tables.whys(nodes)]))
            return
    print(f"no run of case {name!r} is recorded; %hardcover run makes one")


def _lineage(shell: Any, rest: list[str]) -> None:
    from hardcover.lineage import drawing, graph
    from hardcover.project import pipelines

    case, found = shell.user_ns["case"], graph.Lineage()
    name = rest[0] if rest else "wheel"
    item = found.find(name if name.startswith(f"{case}.") else f"{case}.{name}")
    edges = found.edges([item])
    page = drawing.page(f"Lineage of {item.dataset}", found, edges, [item], pipelines.stage_of_nodes())
    _show(shown.framed(page, 640))


def _show(frame: str) -> None:
    display({"text/html": frame, "text/plain": "a page; JupyterLab shows it"}, raw=True)


def _call(*words: str) -> int:
    """Run a command of ``hardcover`` and print what it says as it comes; returns its exit code."""
    program = Path(sys.executable).with_name("hardcover")
    # The kernel may be part of a run of its own, whose marks are not the command's.
    environment = {name: value for name, value in os.environ.items() if name not in settings.RESERVED}
    with subprocess.Popen(
        [str(program), *words],
        cwd=settings.project_root(),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                print(_COLORS.sub("", line), end="")
        except KeyboardInterrupt:
            process.send_signal(2)
            raise
    return process.returncode
