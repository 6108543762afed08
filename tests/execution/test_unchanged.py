"""Nothing changed: told from a record in a moment, and never when planning would find something to do."""

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hardcover.store import versions
from tests.conftest import BIN, ROOT, Checkout, Place, copy_of_checkout

KINDS = (
    *("append", "byte", "byte, times kept", "touch", "remove", "add", "variable", "distribution", "named"),
    *("data byte", "data byte, times kept", "data remove", "latest", "version"),
)
EDITS = 500 if os.environ.get("HYPOTHESIS_PROFILE") == "soak" else 14


@pytest.fixture(scope="module")
def done(pipeline_run, tmp_path_factory) -> tuple[Checkout, Place]:
    """A checkout and its data, after a run that left nothing to do."""
    folder = tmp_path_factory.mktemp("unchanged")
    shutil.copytree(pipeline_run.folder, folder / "place")
    checkout, place = copy_of_checkout(folder / "checkout"), Place(folder / "place")
    # Where modules are found is part of what is recorded, so nothing is forked here.
    checkout.call(place, "hardcover", "run", "--pipeline", "--env", "ci", fresh=True)
    return checkout, place


def test_a_run_with_nothing_to_do_imports_neither_kedro_nor_pandas(done):
    checkout, place = done
    # As the command itself finds its modules.
    program = f"""
import sys
sys.path[0] = {str(BIN)!r}
from hardcover.cli.main import main
code = main(["run", "--env", "ci"])
print({{"kedro", "pandas", "numpy", "lightgbm", "mlflow", "yaml"}} & set(sys.modules))
"""
    again = checkout.call(place, "python", "-c", program)

    assert "nothing changed, everything reused" in again.stderr
    assert "nodes             0 ran, 19 reused" in again.stdout
    assert again.stdout.splitlines()[-1] == "set()"


class Questions:
    """The program that answers by record and by planning."""

    def __init__(self, checkout: Checkout, place: Place):
        mine = {"HARDCOVER_PROJECT": str(checkout.folder), "PYTHONPATH": str(checkout.folder / "src")}
        command = [sys.executable, str(ROOT / "tests" / "execution" / "planning.py")]
        environment = {**os.environ, **place.environment, **mine}
        self.process = subprocess.Popen(
            command,
            cwd=checkout.folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def ask(self, **variables: str) -> dict:
        self.process.stdin.write(json.dumps(variables) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


def _changed(path: Path, content: bytes, keep_times: bool = False) -> Callable[[], None]:
    """Write a file; returns what undoes it."""
    before, times = path.read_bytes() if path.exists() else None, path.exists() and path.stat()
    path.parent.mkdir(parents=True, exist_ok=True)
    # Versions share their files with others by links; only this name shall change.
    path.unlink(missing_ok=True)
    path.write_bytes(content)
    if keep_times and times:
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

    def undo() -> None:
        path.unlink()
        if before is not None:
            path.write_bytes(before)
            # Python knows its bytecode by size and by the second of the change, which was this one for what is undone.
            if not keep_times:
                os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

    return undo


def _removed(path: Path) -> Callable[[], None]:
    content = path.read_bytes()
    path.unlink()

    def undo() -> None:
        path.write_bytes(content)

    return undo


def edit(chance: random.Random, checkout: Checkout, place: Place) -> tuple[str, dict, Callable[[], None]]:
    """Change something at random: a source, a setting, the data; returns what, variables, and what undoes it."""
    root = checkout.folder
    sources = [
        path
        for name in ("src", "notebooks", "conf")
        for path in (root / name).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ] + [root / name for name in ("pyproject.toml", "settings.ini", "requirements/all.txt")]
    data = [
        path for folder in versions.all_committed(place.data) for path in folder.rglob("*") if path.is_file()
    ]
    kind = chance.choice(KINDS)
    path = chance.choice(data if kind.startswith("data") else sources)
    nothing: dict[str, str] = {}
    if kind == "append":
        return f"append {path}", nothing, _changed(path, path.read_bytes() + b"\n# one more line\n")
    if "byte" in kind:
        content = bytearray(path.read_bytes() or b"x")
        content[chance.randrange(len(content))] ^= 1
        return f"{kind} {path}", nothing, _changed(path, bytes(content), "times" in kind)
    if kind == "touch":
        path.touch()
        return f"touch {path}", nothing, lambda: None
    if "remove" in kind:
        return f"{kind} {path}", nothing, _removed(path)
    if kind == "add":
        name = chance.choice(
            ["src/casebook/maintenance/more.py", "conf/ci/parameters_more.yml", "conf/ci/catalog.yml"]
        )
        content = {"parameters_more.yml": b"more: 1\n", "catalog.yml": b"x: {type: MemoryDataset}\n"}
        return f"add {name}", nothing, _changed(root / name, content.get(Path(name).name, b"MORE = 1\n"))
    if kind == "variable":
        name = chance.choice(["HARDCOVER_DATA_VERIFY", "HARDCOVER_RUN_WAIT", "HARDCOVER_TRACKING_EXPERIMENT"])
        return name, {name: chance.choice(["no", "1"])}, lambda: None
    if kind == "distribution":
        folder = root / "src" / "shap-99.0.dist-info"
        undo = _changed(folder / "METADATA", b"Metadata-Version: 2.1\nName: shap\nVersion: 99.0\n")

        def remove() -> None:
            undo()
            folder.rmdir()

        return "another shap", nothing, remove
    if kind == "named":
        # A file with the name of a text among the parameters would be read by the nodes that get it.
        return "a file called binary", nothing, _changed(root / "binary", b"1")
    dataset = chance.choice(sorted({folder.parent for folder in versions.all_committed(place.data)}))
    if kind == "latest":
        return f"latest of {dataset}", nothing, _removed(dataset / versions.LATEST)
    newer = dataset / "2999-01-01T00.00.00.000000Z"
    shutil.copytree(dataset / versions.latest(dataset), newer)
    return f"a newer version of {dataset}", nothing, lambda: shutil.rmtree(newer)


def test_what_the_record_calls_unchanged_leaves_nothing_to_plan_whatever_is_edited(done):
    checkout, place = done
    questions, chance, told = Questions(checkout, place), random.Random(11), []
    before = questions.ask()
    assert before == {"record": True, "planning": True}, before
    for number in range(EDITS):
        what, variables, undo = edit(chance, checkout, place)
        found = questions.ask(**variables)
        undo()
        told.append(found["record"])
        assert not found["record"] or found["planning"], (number, what, found)
    # What only looks different is told by content.
    assert True in told
    assert False in told
    questions.process.stdin.close()
    questions.process.wait(timeout=30)
