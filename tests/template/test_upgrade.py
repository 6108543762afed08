"""A project that an older library stamped gets what a newer one writes, and keeps what its owner wrote."""

import json
import shutil

import pytest

from tests.template.conftest import command_of

TRAIN = "notebooks/model/03_train.ipynb"


@pytest.fixture(scope="module")
def stamped(library, tmp_path_factory):
    """Return a project with two cases, one of them its owner's data."""
    where = tmp_path_factory.mktemp("stamped")
    rows = "".join(f"{n},{n % 7}.5,{'ab'[n % 2]},{(n * 7) % 11}\n" for n in range(80))
    (where / "small.csv").write_text("number,load,kind,amount\n" + rows)
    for command in (
        ("new", where / "owned"),
        ("add", "small", "--data", "../small.csv", "--target", "amount", "--yes"),
    ):
        done = command_of(library, where / ("owned" if command[0] == "add" else ""), *command)
        assert done.returncode == 0, done.stderr
    return where / "owned"


@pytest.fixture
def project(stamped, tmp_path):
    return shutil.copytree(stamped, tmp_path / "owned")


@pytest.fixture
def newer(library, tmp_path):
    """Return a library whose template has another sentence, another cell, another line of code, and a file less."""
    installed = shutil.copytree(library, tmp_path / "newer")
    files = installed / "hardcover" / "template" / "files"
    _edit(files / TRAIN, "title", lambda source: source + "\n\nNew words.")
    whole = json.loads((files / TRAIN).read_text())
    new = {"cell_type": "markdown", "id": "new-cell", "metadata": {}, "source": ["A new cell."]}
    whole["cells"].insert(1, new)
    (files / TRAIN).write_text(json.dumps(whole))
    texts = installed / "hardcover" / "template" / "notebooks.py"
    old = "Every cell arrives as text."
    assert old in texts.read_text()
    texts.write_text(texts.read_text().replace(old, "All cells arrive as text."))
    (installed / "hardcover" / "__init__.py").write_text(
        (installed / "hardcover" / "__init__.py").read_text().replace("0.1.0", "0.2.0")
    )
    shutil.rmtree(files / "conf" / "production")
    writer = installed / "hardcover" / "template" / "new.py"
    gone = '"conf/production/globals.yml",'
    assert gone in writer.read_text()
    writer.write_text(writer.read_text().replace(gone, ""))
    return installed


def _edit(notebook, cell, change):
    whole = json.loads(notebook.read_text())
    (found,) = [each for each in whole["cells"] if each["id"] == cell]
    found["source"] = change("".join(found["source"])).splitlines(True)
    notebook.write_text(json.dumps(whole))


def _source(notebook, cell):
    (found,) = [each for each in json.loads(notebook.read_text())["cells"] if each["id"] == cell]
    return "".join(found["source"])


def _changes(done):
    return {each["path"]: each["change"] for each in json.loads(done.stdout)}


def _texts(project):
    return {
        path: path.read_bytes()
        for path in project.rglob("*")
        if path.is_file() and "__pycache__" not in str(path)
    }


def test_the_same_library_has_nothing_to_merge(library, project):
    before = _texts(project)
    done = command_of(library, project, "upgrade", "--check")
    assert (done.returncode, done.stdout.strip()) == (0, "up to date with the template")
    assert _texts(project) == before


def test_edits_and_a_newer_template_meet(newer, project):
    features = project / "notebooks" / "small" / "02_features.ipynb"
    added = '#| export\ndef twice(load):\n    """Twice the load."""\n    return 2 * load'
    _edit(features, "bounded", lambda _: added)
    _edit(features, "bounded-call", lambda _: "assert twice(1.0) == 2.0")
    parameters = project / "conf" / "base" / "parameters_small.yml"
    parameters.write_text(parameters.read_text() + "  training: {rounds: 20, early_stopping: 5}\n")
    project_file = project / "pyproject.toml"
    project_file.write_text(project_file.read_text().replace('version = "0.1.0"', 'version = "7.0.0"', 1))
    checked = command_of(newer, project, "upgrade", "--check")
    assert checked.returncode == 1
    assert "New words" not in (project / TRAIN).read_text()
    done = command_of(newer, project, "upgrade", "--json")
    assert done.returncode == 0, done.stderr + done.stdout
    changes = _changes(done)
    assert changes[TRAIN] == "replaced"
    assert changes["conf/production/globals.yml"] == "removed"
    assert changes["notebooks/small/01_data.ipynb"] == "replaced"
    assert changes["pyproject.toml"] == "merged"
    assert "notebooks/small/02_features.ipynb" not in changes
    assert "New words." in _source(project / TRAIN, "title")
    assert _source(features, "bounded") == added
    assert "All cells arrive as text." in _source(project / "notebooks/small/01_data.ipynb", "reads-why")
    merged = project_file.read_text()
    assert 'template = "0.2.0"' in merged
    assert 'version = "7.0.0"' in merged
    assert "def twice(load)" in (project / "src" / "owned" / "small" / "features.py").read_text()
    again = command_of(newer, project, "upgrade", "--check")
    assert (again.returncode, again.stdout.strip()) == (0, "up to date with the template")


def test_a_place_that_both_changed_is_marked_as_git_does(newer, project):
    _edit(project / TRAIN, "title", lambda source: source + "\n\nMy words.")
    done = command_of(newer, project, "upgrade", "--json")
    assert done.returncode == 1
    assert _changes(done)[TRAIN] == "conflict"
    lines = _source(project / TRAIN, "title").splitlines()
    marked = ["<<<<<<< this project", "My words.", "=======", "New words.", ">>>>>>> the template"]
    assert [line for line in lines if line in marked] == marked
    assert _source(project / TRAIN, "new-cell") == "A new cell."
    again = command_of(newer, project, "upgrade")
    assert again.returncode == 1
    assert "is not resolved" in again.stderr
    _edit(project / TRAIN, "title", lambda _: "# Train\n\n> Fit.\n\nMy words. New words.")
    resolved = command_of(newer, project, "upgrade", "--check")
    assert (resolved.returncode, resolved.stdout.strip()) == (0, "up to date with the template")


def test_what_was_edited_or_removed_here_is_not_taken_away_or_brought_back(newer, project):
    kept = project / "conf" / "production" / "globals.yml"
    kept.write_text(kept.read_text() + "mine: 1\n")
    (project / TRAIN).unlink()
    done = command_of(newer, project, "upgrade", "--json")
    assert {_changes(done)[path] for path in ("conf/production/globals.yml", TRAIN)} == {"kept"}
    assert kept.read_text().endswith("mine: 1\n")
    assert not (project / TRAIN).exists()


@pytest.mark.parametrize("lost", [".template.zip", "pyproject.toml"])
def test_a_project_that_says_not_what_it_came_from_is_left_as_it_is(library, project, lost):
    if lost == ".template.zip":
        (project / lost).write_bytes(b"PK damaged")
    else:
        file = project / lost
        file.write_text(file.read_text().replace("[tool.hardcover]\n", "[tool.other]\n"))
    before = _texts(project)
    done = command_of(library, project, "upgrade")
    assert done.returncode == 1
    assert lost in done.stderr
    assert "version control" in done.stderr
    assert _texts(project) == before


def test_a_killed_upgrade_goes_on_where_it_was(newer, project):
    _edit(project / TRAIN, "title", lambda source: source.replace("Train", "Teach", 1))
    archive = newer / "hardcover" / "template" / "stamped.py"
    whole = archive.read_text()
    dying = (
        "\n_whole = keep\n\ndef keep(root, what):\n    _whole(root, what)\n    import os\n    os._exit(9)\n"
    )
    archive.write_text(whole + dying)
    assert command_of(newer, project, "upgrade").returncode == 9
    archive.write_text(whole)
    done = command_of(newer, project, "upgrade")
    assert done.returncode == 0, done.stderr + done.stdout
    assert "New words." in _source(project / TRAIN, "title")
    assert command_of(newer, project, "upgrade", "--check").returncode == 0
