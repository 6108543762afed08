"""``hardcover add``: a case from a file and the name of a column."""

import argparse
import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

from hardcover import settings
from hardcover.cli import progress, tables
from hardcover.errors import HardcoverError

PURPOSE = "write a case into this project, from a file and the name of a column"
DESCRIPTION = "Inspect a file, propose schema, task and split, and write them as notebooks and configuration that are yours."
EXAMPLES = """examples:
  hardcover add churn --data customers.csv --target churned
  hardcover add churn --data 2025.csv 2026.csv --target churned --time signed_up --yes
  hardcover run churn                                    then: to a proven wheel
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("name", metavar="CASE", help="letters, digits and underscores")
    add_questions(parser, required=True)


def add_questions(parser: argparse.ArgumentParser, required: bool) -> None:
    """Declare an option for every question that a proposal answers."""
    parser.add_argument(
        "--data", nargs="+", required=required, metavar="FILE", help="a file, or several of one table"
    )
    parser.add_argument("--target", required=required, metavar="COLUMN", help="what is predicted")
    parser.add_argument(
        "--task", metavar="TASK", help="binary, multiclass, regression or count; else as proposed"
    )
    parser.add_argument(
        "--split", metavar="POLICY", help="random, stratified, entity, time or entity_time; else as proposed"
    )
    parser.add_argument("--time", metavar="COLUMN", help="when a row happened: split by it")
    parser.add_argument("--entity", metavar="COLUMN", help="what a row is about: its rows stay in one part")
    parser.add_argument(
        "--tune",
        type=float,
        metavar="MINUTES",
        help="then try a few settings for the trees, as 'hardcover tune' does",
    )
    parser.add_argument("--yes", action="store_true", help="take what is proposed without asking")


def do(options: argparse.Namespace) -> int:
    """Write a case, and print what was proposed."""
    from hardcover.template import add

    root = settings.project_root()
    add.check_free(root, options.name)
    proposal = proposed(options)
    written = add.write(root, options.name, options.data, proposal)
    progress.clear()
    shown = [str(path.relative_to(root)) for path in written]
    if options.json:
        print(
            json.dumps(
                {"case": options.name, "files": shown, **as_json(proposal)},
                indent=2,
                ensure_ascii=False,
            )
        )
    else:
        print(f"\nwritten: {', '.join(shown)}\nnext: hardcover run {options.name}")
    return tune(root, options.name, options.tune)


def tune(root: Path, case: str, minutes: float | None) -> int:
    """Tune a case that was just written, where it was asked for; returns the exit code."""
    if not minutes:
        return 0
    program = Path(sys.executable).with_name("hardcover")
    command = [str(program), "tune", case, "--minutes", str(minutes)]
    # What it prints is for people; standard output may be somebody's JSON.
    return subprocess.run(command, cwd=root, stdout=sys.stderr, check=False).returncode


def proposed(options: argparse.Namespace) -> Any:
    """Return the proposal, once shown and agreed to."""
    from hardcover.template import add

    asked = {name: getattr(options, name) for name in ("task", "split", "time", "entity")}
    proposal = add.propose(options.data, options.target, **asked, say=partial(progress.say, transient=True))
    progress.clear()
    if not options.json:
        print("\n".join(as_text(proposal)))
    if options.yes:
        return proposal
    if not sys.stdin.isatty():
        raise HardcoverError(
            "there is no terminal to ask whether to write what is proposed",
            "",
            "Run again with --yes, or with an option for what should differ.",
        )
    answer = input("\nWrite this? [Y/n] ").strip().lower()
    if answer not in ("", "y", "yes"):
        raise HardcoverError(
            "nothing was written", "", "--task, --split, --time and --entity change what is proposed."
        )
    return proposal


def as_text(proposal: Any) -> list[str]:
    """Return the proposal as lines of text."""
    question, warnings = proposal.question, proposal.warnings
    lines = [
        f"{', '.join(proposal.files)}: {proposal.rows:,} rows, {proposal.columns} columns",
        f"task   {question.task}: {question.why}",
        f"split  {question.split}: {question.why_split}",
        "",
    ]
    lines += tables.aligned([[column.source, column.part, column.why] for column in proposal.planned])
    return lines + ([""] + [f"warning: {warning}" for warning in warnings] if warnings else [])


def as_json(proposal: Any) -> dict[str, Any]:
    """Return the proposal as the command's JSON has it."""
    return {
        "task": proposal.question.task,
        "split": proposal.question.split,
        "columns": [
            {"source": c.source, "name": c.name, "part": c.part, "why": c.why} for c in proposal.planned
        ],
        "warnings": proposal.warnings,
    }
