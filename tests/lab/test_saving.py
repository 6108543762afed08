"""A saved notebook exports its one module, and only that; what cannot be exported leaves the module as it was."""

import asyncio
import json
import logging

import pytest
from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager

from hardcover.errors import HardcoverError
from hardcover.lab import saving
from hardcover.lab.server import Exports
from tests import projects


@pytest.fixture(scope="module")
def stamped(tmp_path_factory):
    folder = projects.write(tmp_path_factory.mktemp("saving") / "small", ["binary"])
    projects.call(folder, "nbdev-export")
    return folder


@pytest.fixture
def notebook(stamped):
    path = stamped / "notebooks" / "binary" / "02_features.ipynb"
    before = path.read_text()
    yield path
    path.write_text(before)
    saving.export(path)


def _module(notebook):
    return notebook.parents[2] / "src" / projects.PACKAGE / "binary" / "features.py"


def _add(notebook, source, name="added"):
    whole = json.loads(notebook.read_text())
    cell = {
        "cell_type": "code",
        "id": name,
        "metadata": {},
        "source": source,
        "outputs": [],
        "execution_count": None,
    }
    whole["cells"].insert(3, cell)
    notebook.write_text(json.dumps(whole))


def test_a_new_feature_is_in_the_module_after_saving(notebook):
    _add(notebook, '#| export\ndef twice(x0):\n    """Twice x0."""\n    return 2 * x0')
    others = {path: path.stat().st_mtime_ns for path in _module(notebook).parents[1].rglob("data.py")}
    assert saving.export(notebook) == ("exported", f"src/{projects.PACKAGE}/binary/features.py", "")
    assert "def twice(x0)" in _module(notebook).read_text()
    assert {path: path.stat().st_mtime_ns for path in others} == others
    assert saving.export(notebook).state == "unchanged"


def test_the_module_is_what_nbdev_export_writes_for_the_whole_project(notebook):
    _add(notebook, '#| export\ndef twice(x0):\n    """Twice x0."""\n    return 2 * x0')
    saving.export(notebook)
    package = _module(notebook).parents[1]
    ours = {path: path.read_text() for path in package.rglob("*.py")}
    projects.call(notebook.parents[2], "nbdev-export")
    assert {path: path.read_text() for path in package.rglob("*.py")} == ours


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (
            "#| export\ndef twice(x0:\n    return 2",
            "code cell 3, line 2: '(' was never closed: def twice(x0:",
        ),
        (
            "#| export\n<<<<<<< this project\nx = 1\n=======\nx = 2\n>>>>>>> the template",
            "line 2: invalid syntax",
        ),
        ("#| export\n%matplotlib inline", "line 2: invalid syntax"),
    ],
)
def test_a_cell_that_does_not_parse_keeps_the_old_module_and_says_where(notebook, source, said):
    before = _module(notebook).read_bytes()
    _add(notebook, source)
    found = saving.export(notebook)
    assert found.state == "kept"
    assert said in found.why
    assert _module(notebook).read_bytes() == before


def test_cells_that_are_not_exported_may_hold_anything(notebook):
    _add(notebook, "%matplotlib inline\nthis is no Python")
    assert saving.export(notebook).state == "unchanged"


def test_a_notebook_that_exports_nothing_is_left_alone(stamped, tmp_path):
    text = (stamped / "notebooks" / "binary" / "02_features.ipynb").read_text()
    outside = tmp_path / "scratch.ipynb"
    outside.write_text(text)
    scratch = stamped / "notebooks" / "scratch.ipynb"
    scratch.write_text('{"cells": []}')
    assert saving.export(outside).state == "none"
    assert saving.export(scratch).state == "none"
    scratch.unlink()


@pytest.mark.parametrize("content", ["", "{", '{"cells": 1}', '{"cells": [{}]}', "[]"])
def test_a_damaged_notebook_is_said_and_raises_nothing(stamped, content):
    damaged = stamped / "notebooks" / "damaged.ipynb"
    damaged.write_text(content)
    found = saving.export(damaged)
    damaged.unlink()
    assert found.state == "kept"
    assert found.why


def test_jupyter_servers_own_save_exports_and_a_failure_does_not_fail_the_save(stamped, notebook):
    manager = AsyncLargeFileManager(root_dir=str(stamped))
    exports = Exports(logging.getLogger(__name__))
    manager.register_post_save_hook(exports.saved)
    path = str(notebook.relative_to(stamped))

    async def save(source):
        model = await manager.get(path)
        code = [cell for cell in model["content"]["cells"] if "return" in cell["source"]]
        code[0]["source"] = source
        await manager.save({"type": "notebook", "content": model["content"]}, path)
        return await exports.outcome(notebook)

    found = asyncio.run(save('#| export\ndef renamed(x0):\n    """A feature."""\n    return x0'))
    assert found.state == "exported"
    assert "def renamed" in _module(notebook).read_text()
    found = asyncio.run(save("#| export\ndef renamed(x0)\n    return x0"))
    assert found.state == "kept"
    assert "def renamed(x0)\\n" in notebook.read_text()
    assert "def renamed(x0):" in _module(notebook).read_text()


def test_a_module_that_cannot_be_written_is_said(notebook, monkeypatch):
    _add(notebook, "#| export\ny = 1")

    def full(*_):
        raise HardcoverError("cannot export the notebooks: OSError: [Errno 28] No space left on device")

    monkeypatch.setattr(saving.exported, "export", full)
    before = _module(notebook).read_bytes()
    found = saving.export(notebook)
    assert found.state == "kept"
    assert "No space left" in found.why
    assert _module(notebook).read_bytes() == before
