"""The house: what lies where, who may import whom, and what the words promise."""

import inspect
import os
import re
import subprocess
import sys

import pytest

import hardcover
from hardcover import errors
from hardcover.cli import main
from tests.conftest import BIN, ROOT

TOP = {
    ".ci",
    ".gitattributes",
    ".github",
    ".gitignore",
    ".telemetry",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "benchmarks",
    "conf",
    "data",
    "docs",
    "notebooks",
    "pyproject.toml",
    "requirements",
    "settings.ini",
    "src",
    "tests",
}


def tracked() -> list[str]:
    return subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()


def test_the_top_level_is_exactly_what_the_readme_shows():
    assert {path.partition("/")[0] for path in tracked()} == TOP

    readme = (ROOT / "README.md").read_text()
    for name in TOP:
        assert re.search(rf"^[│├└─ ]*{re.escape(name)}/?\s", readme, re.MULTILINE), name


def test_the_readme_is_short_enough_to_be_read():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_command_on_a_page_exists_with_its_options(page):
    for line in page.read_text().splitlines():
        words = line.strip().split("#")[0].split()
        if words[:1] == [".venv/bin/hardcover"]:
            main.parser().parse_args(words[1:])
        elif words[:1] == ["make"] and len(words) > 1:
            assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE), line
        elif line.startswith("    .venv/bin/"):
            assert (BIN / words[0].rpartition("/")[2]).is_file(), line


def test_every_link_on_a_page_leads_somewhere():
    for page in PAGES:
        for link in re.findall(r"\]\((?!http)([^)#]+)\)", page.read_text()):
            assert (page.parent / link).is_file(), (page.name, link)


def test_git_keeps_the_data_folders_only():
    assert all(path.endswith(".gitkeep") for path in tracked() if path.startswith("data/"))


def test_no_lock_file_records_a_registry():
    assert not {"uv.lock", "pylock.toml"} & set(tracked())
    for path in (ROOT / "requirements").iterdir():
        assert "://" not in path.read_text()


def test_public_names_are_those_listed():
    assert hardcover.__all__ == sorted(hardcover.__all__)
    for name in hardcover.__all__:
        assert getattr(hardcover, name).__name__ == name


def test_import_of_the_library_and_help_load_nothing_heavy():
    code = "from hardcover.cli.main import main\nimport sys\ntry: main(['--help'])\nexcept SystemExit: print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    loaded = set(done.stdout.splitlines()[-1].split())
    assert not loaded & {
        "numpy",
        "pandas",
        "kedro",
        "mlflow",
        "lightgbm",
        "papermill",
        "yaml",
        "jupyter_client",
    }


def test_the_drawing_of_errors_shows_every_class():
    drawn = set(re.findall(r"[├└]── (\w+)", errors.__doc__))

    defined = {
        name
        for name, value in vars(errors).items()
        if inspect.isclass(value) and value.__module__ == errors.__name__
    }
    assert drawn == defined - {"HardcoverError"}


@pytest.mark.parametrize(
    "path", sorted((ROOT / "src" / "hardcover").rglob("*.py")), ids=lambda path: path.stem
)
def test_a_module_is_short_enough_to_be_read(path):
    assert len(path.read_text().splitlines()) <= 350


@pytest.mark.parametrize("start", ["from kedro.framework.cli.cli import main; main()", "pass"])
def test_mlflow_counts_nobody(start, place):
    code = f"""
import sys
from pathlib import Path
from kedro.framework.startup import bootstrap_project
sys.argv = ["kedro", "mlflow", "--help"]
try:
    {start}
except SystemExit:
    pass
bootstrap_project(Path.cwd())
from kedro.framework.session import KedroSession
KedroSession.create(Path.cwd())
# Later, where there is no network, MLflow gives up by itself.
from mlflow.telemetry.client import get_telemetry_client
print("counted by", get_telemetry_client())
"""
    # MLflow counts nobody where it sees that tests run, so it must not see it.
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], **place.environment}

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )

    assert done.stdout.splitlines()[-1] == "counted by None", done.stderr
