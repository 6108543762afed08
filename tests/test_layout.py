"""The house: what lies where, who may import whom, and what the words promise."""

import ast
import importlib
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

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


LIBRARY = ROOT / "src" / "hardcover"
ROOMS = sorted(path.parent.name for path in LIBRARY.glob("*/__init__.py"))


@pytest.mark.parametrize("room", [None, *ROOMS])
def test_public_names_are_those_listed_and_can_be_had(room):
    name = f"hardcover.{room}" if room else "hardcover"
    module = importlib.import_module(name)
    written = ast.parse(Path(module.__file__).read_text())
    guarded = [part for block in written.body if isinstance(block, ast.If) for part in block.body]
    listed = {alias.asname or alias.name for part in guarded for alias in part.names}

    assert module.__doc__
    assert len(module.__doc__.splitlines()[0]) < 130
    assert len(module.__all__) == len(set(module.__all__))
    for each in module.__all__:
        assert getattr(module, each) is not None
    # Where names are imported when first used, the list for type checkers is the same.
    assert not guarded or listed == set(module.__all__) - {
        part.name if isinstance(part, ast.FunctionDef) else part.targets[0].id
        for part in written.body
        if isinstance(part, ast.FunctionDef)
        or (isinstance(part, ast.Assign) and not part.targets[0].id.startswith("__"))
    }


def sources_of_the_project():
    for path in sorted((ROOT / "src" / "casebook").rglob("*.py")):
        yield path, path.read_text()
    for path in sorted((ROOT / "notebooks").rglob("*.ipynb")):
        cells = json.loads(path.read_text())["cells"]
        yield path, "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


def test_a_project_uses_public_names_only():
    public = {"hardcover": set(hardcover.__all__), "hardcover.runtime.functions": None}
    for room in ROOMS:
        public["hardcover"].add(room)
        public[f"hardcover.{room}"] = set(importlib.import_module(f"hardcover.{room}").__all__)
        public |= {f"hardcover.{room}.{name}": None for name in public[f"hardcover.{room}"]}
    # A features module has these besides the standard library.
    public["hardcover.runtime"] |= {"lookups", "windows"}
    for path, source in sources_of_the_project():
        for part in ast.walk(ast.parse(source)):
            if isinstance(part, ast.ImportFrom) and (part.module or "").partition(".")[0] == "hardcover":
                known = public.get(part.module, set())
                names = {alias.name for alias in part.names}
                assert known is None or names <= known, f"{path.name} imports {names} from {part.module}"


def test_no_word_of_the_example_is_in_the_library():
    from casebook.maintenance import data

    # What a service sends is a record, whatever a project calls its key, and quality is what many tables rate.
    columns = {*data.SCHEMA.columns, "AI4I"} - {"record", "quality"}
    for path in sorted(
        path for path in LIBRARY.rglob("*") if path.suffix in {".py", ".yml", ".j2", ".c", ".h"}
    ):
        text = path.read_text()
        assert not re.search(r"casebook|maintenance", text), path
        for part in ast.walk(ast.parse(text)) if path.suffix == ".py" else ():
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                assert part.value not in columns, f"{path.name}: {part.value!r}"
            elif isinstance(part, ast.arg | ast.Name):
                name = part.arg if isinstance(part, ast.arg) else part.id
                assert name not in columns, f"{path.name}: {name}"


def test_the_architecture_names_every_room_and_draws_the_arrows_that_are_kept():
    text = (ROOT / "docs" / "architecture.md").read_text()

    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = (contract["layers"] for contract in contracts if contract["type"] == "layers")
    drawn = re.findall(r"^\| (`[^|]*`) \|", text, re.MULTILINE)
    assert [" | ".join(re.findall(r"`(\w+)`", row)) for row in drawn] == layers
    for room in ROOMS:
        assert re.search(rf"^\*\*`{room}`\*\* ", text, re.MULTILINE), room


def test_the_librarys_wheel_holds_the_library_alone_and_helps_without_anything_else(tmp_path):
    from uv import find_uv_bin

    # From a copy, since builds leave folders behind.
    for name in ("pyproject.toml", "README.md", "LICENSE", "settings.ini", "conf", "notebooks", "src"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path / "built"]
    subprocess.run(build, cwd=tmp_path, check=True, capture_output=True)
    (wheel,) = (tmp_path / "built").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.partition("/")[0] for name in names} == {
        "hardcover",
        f"hardcover-{hardcover.__version__}.dist-info",
        f"hardcover-{hardcover.__version__}.data",
    }
    assert {
        "hardcover/py.typed",
        "hardcover/project/defaults/catalog.yml",
        "hardcover/runtime/kernel.c",
    } <= set(names)

    uv, python = find_uv_bin(), tmp_path / "env" / "bin" / "python"
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, tmp_path / "env"], check=True)
    subprocess.run([uv, "pip", "install", "--quiet", "--python", python, "--offline", wheel], check=True)
    program = (
        "import importlib.util, hardcover; print(importlib.util.find_spec('casebook'), hardcover.__version__)"
    )
    found = subprocess.run([python, "-I", "-c", program], capture_output=True, text=True, check=True, cwd="/")
    shown = subprocess.run(
        [python.with_name("hardcover"), "--help"], capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == ["None", hardcover.__version__]
    assert "prove" in shown.stdout
    environment = {"HARDCOVER_PROJECT": str(ROOT), "PATH": "/usr/bin:/bin"}
    command = [python.with_name("hardcover"), "prove", "maintenance"]
    refused = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert refused.returncode == 1
    assert "is not installed. Run: pip install 'hardcover[project]'" in refused.stderr


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
    assert len(path.read_text().splitlines()) <= 300


@pytest.mark.parametrize("start", ["from kedro.framework.cli.cli import main; main()", "pass"])
def test_mlflow_reports_no_usage(start, place):
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
    # MLflow reports no usage where it sees that tests run, so it must not see it.
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], **place.environment}

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )

    assert done.stdout.splitlines()[-1] == "counted by None", done.stderr
