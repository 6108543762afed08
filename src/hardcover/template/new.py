"""A new project: the example's own files with another name, and a case of one's own where data was given.

The files are this repository's; a wheel of the library carries copies that were made when it was built.
"""

import configparser
import shutil
from collections.abc import Sequence
from pathlib import Path

from hardcover import __version__
from hardcover.errors import HardcoverError, StorageError
from hardcover.project import cases, exported
from hardcover.store import disk
from hardcover.template import add, stamped
from hardcover.template.plan import Proposal

_CARRIED = Path(__file__).parent / "files"
# A checkout of the library has the files where they are worked on.
FILES = _CARRIED if _CARRIED.is_dir() else Path(__file__).parents[3]
MODEL = "model"
LAYERS = (
    "01_raw", "02_intermediate", "03_primary", "04_feature", "05_model_input", "06_models", "07_model_output", "08_reporting"
)  # fmt: skip


def write(folder: Path, files: Sequence[str] = (), proposal: Proposal | None = None) -> None:
    """Write a project into a folder that does not exist yet; its package has the folder's name.

    Parameters
    ----------
    files, proposal
        What `add.propose` returned for the first case, which gets the project's name; without them the example's case.

    Raises
    ------
    HardcoverError
        When the name cannot be a package's or the folder is there already; then nothing is written.
    """
    name = folder.name
    check_free(folder)
    # Whole or not at all: a folder beside it, renamed when it is complete.
    draft = folder.with_name(f".{name}.part")
    shutil.rmtree(draft, ignore_errors=True)
    try:
        stamp(draft, name, example=proposal is None)
        if proposal is not None:
            add.write(draft, name, files, proposal)
        exported.export(draft)
        draft.rename(folder)
    except OSError as error:
        raise StorageError(
            f"the project cannot be written: {error.strerror}", str(error.filename or folder)
        ) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def check_free(folder: Path) -> None:
    """Check whether a folder can be made for a project whose package has its name.

    Raises
    ------
    HardcoverError
        When the name cannot be a package's, something is there already, or its parent is no folder.
    """
    add.check_name(folder.name, "project")
    if not folder.parent.is_dir():
        raise HardcoverError("there is no such folder", str(folder.parent), "Make it first.")
    if folder.exists():
        raise HardcoverError(
            f"there is a {'folder' if folder.is_dir() else 'file'} {folder.name!r} already",
            str(folder.parent),
            "Choose another name; nothing was written.",
        )


def stamp(folder: Path, name: str, example: bool) -> None:
    """Write the files of a project whose package is ``name``, with the example's case or none; nothing is exported."""
    made = texts(name, example, {})
    for path, text in made.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        disk.write_atomically(folder / path, text.encode("utf-8"))
    stamped.keep(folder, stamped.Stamped(made, {}))


def texts(name: str, example: bool, proposals: dict[str, Proposal]) -> dict[str, str]:
    """Return the files of a project by their path.

    Parameters
    ----------
    name, example
        The package's name, and whether the example's case is among the cases.
    proposals
        The project's other cases.
    """
    theirs, case = _example()
    copied = [
        f"src/{theirs}/settings.py", f"src/{theirs}/pipeline_registry.py", "settings.ini", "conf/production/globals.yml",
        *_notebooks(MODEL),
    ]  # fmt: skip
    if example:
        copied += [f"conf/{environment}/parameters_{case}.yml" for environment in ("base", "ci")]
        copied += _notebooks(case)
    made = {
        path.replace(theirs, name): (FILES / path).read_text(encoding="utf-8").replace(theirs, name)
        for path in copied
    }
    made["settings.ini"] = made["settings.ini"].replace(f"cases = {case}", f"cases = {cases.ALL}")
    first = case if example else next(iter(proposals), name)
    for path in _notebooks(MODEL):
        # The shared notebooks open on the project's own case.
        made[path] = made[path].replace(f'case = \\"{case}\\"', f'case = \\"{first}\\"')
    made |= {f"conf/{environment}/.gitkeep": "" for environment in ("base", "ci", "local", "production")}
    made |= {f"data/{layer}/.gitkeep": "" for layer in LAYERS}
    made |= {
        f"src/{name}/__init__.py": f'"""The project {name}."""\n',
        "pyproject.toml": _pyproject(name, example, proposals),
        ".gitignore": _IGNORED,
        ".gitattributes": _ATTRIBUTES,
        "Makefile": _MAKEFILE,
        "README.md": _README.format(name=name, case=first),
        "tests/test_project.py": _TESTS.format(case=first),
    }
    for each, proposal in proposals.items():
        made |= add.texts(each, proposal)
    return made


def _example() -> tuple[str, str]:
    """Return the example's package, and its case, which is the one that it runs unless told."""
    package = next((FILES / "src").glob("*/pipeline_registry.py")).parent.name
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(FILES / "settings.ini", encoding="utf-8")
    return package, parser["run"]["cases"]


def _notebooks(folder: str) -> list[str]:
    return sorted(str(path.relative_to(FILES)) for path in (FILES / "notebooks" / folder).glob("*.ipynb"))


def _pyproject(name: str, example: bool, proposals: dict[str, Proposal]) -> str:
    answers = "".join(stamped.answers_of(case, proposal) for case, proposal in proposals.items())
    return f"""[project]
name = "{name}"
version = "0.1.0"
requires-python = ">=3.11"
dependencies = ["hardcover[project]>={__version__}"]

[tool.kedro]
package_name = "{name}"
project_name = "{name}"
kedro_init_version = "1.7.0"
source_dir = "src"

[tool.nbdev]
lib_path = "src/{name}"
nbs_path = "notebooks"
put_version_in_init = false
update_pyproject = false
allowed_cell_metadata_keys = ["tags"]

# What this project was written from. 'hardcover upgrade' merges what a newer version of the library writes; it needs .template.zip.
[tool.hardcover]
template = "{__version__}"
example = {str(example).lower()}
{answers}"""


_IGNORED = """__pycache__/
.ipynb_checkpoints/
/data/**
!/data/*/
!/data/*/.gitkeep
/dist/
/environments/
/mlflow.db*
/mlartifacts/
/conf/local/*
!/conf/local/.gitkeep
notebooks/llms.txt
"""
_ATTRIBUTES = """# `make lab` defines the drivers: outputs stay out of commits, diffs and merges are by cells.
*.ipynb filter=notebook diff=jupyternotebook merge=jupyternotebook
"""
_MAKEFILE = """.PHONY: run test lab

run:             ## execute the notebooks: from raw files to a proven wheel
	hardcover run $(CASE) $(ARGS)

test:            ## notebooks and modules agree, and a small run of every case is proven
	python -m unittest discover --start-directory tests $(ARGS)

lab:             ## JupyterLab on the notebooks, whose diffs and merges git then shows by cells; needs hardcover[lab]
	python -m hardcover.lab.git_drivers
	jupyter lab --LabApp.default_url=/lab/tree/notebooks
"""
_README = """# {name}

    make run                          from raw files to a proven wheel in dist/
    make test                         the same, small, and whether notebooks and modules agree
    hardcover inspect FILE            what another file holds
    hardcover add CASE --data FILE --target COLUMN
    hardcover upgrade                 what a newer version of the library writes, merged into these files

The case `{case}` is written in `notebooks/{case}/`: the schema, how cells are read, and features of your own. `conf/base/` has its task, split
and costs. After an edit, `hardcover run {case} --export` brings `src/` in line and runs what the edit reaches.
"""
_TESTS = '''"""Notebooks and modules agree, and a small run is proven: all ways to answer give the same bits."""

import json
import subprocess
import unittest
from pathlib import Path

ROOT = Path(__file__).parents[1]


def hardcover(*command: str) -> dict:
    """Return what a command prints as JSON; fails with what it says."""
    done = subprocess.run(["hardcover", *command, "--json"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    return json.loads(done.stdout)


class Project(unittest.TestCase):
    """What holds for every case."""

    def test_a_small_run_is_proven(self) -> None:
        """Train on few rounds, build a wheel, and compare all faces."""
        hardcover("run", "{case}", "--env", "ci")
        self.assertTrue(hardcover("prove", "{case}", "--env", "ci")["passed"])

    def test_every_version_is_whole(self) -> None:
        """Compare what was saved with its manifests."""
        self.assertEqual(hardcover("verify", "--env", "ci")["problems"], [])
'''
