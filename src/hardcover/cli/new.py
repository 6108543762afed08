"""``hardcover new``: a project of one's own, from a file or as the example."""

import argparse
import json
from pathlib import Path

from hardcover.cli import add as adding
from hardcover.cli import progress

PURPOSE = "write a new project, from a file and the name of a column, or as the example"
DESCRIPTION = "Write a project into a new folder: notebooks, configuration, tests. 'make run' in it ends with a proven wheel."
EXAMPLES = """examples:
  hardcover new churn --data customers.csv --target churned
  cd churn && make run && make test
  hardcover new playground                               the example: a machine's failure from its sensors
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("name", metavar="NAME", help="a new folder; its last part is the package's name")
    adding.add_questions(parser, required=False)


def do(options: argparse.Namespace) -> int:
    """Write a project, and print what was proposed."""
    from hardcover.errors import HardcoverError
    from hardcover.template import new

    folder = Path(options.name).resolve()
    new.check_free(folder)
    if bool(options.data) != bool(options.target):
        lacking = "--target" if options.data else "--data"
        raise HardcoverError(
            f"{lacking} is missing",
            "",
            "A case needs --data and --target; without both, the example is written.",
        )
    if not options.data:
        new.write(folder)
        shown = {}
    else:
        proposal = adding.proposed(options)
        new.write(folder, options.data, proposal)
        shown = adding.as_json(proposal)
    progress.clear()
    if options.json:
        print(json.dumps({"project": str(folder), **shown}, indent=2, ensure_ascii=False))
    else:
        print(f"\nwritten: {options.name}\nnext: cd {options.name} && make run && make test")
    return adding.tune(folder, folder.name, options.tune if options.data else None)
