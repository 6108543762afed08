"""What a kernel knows of a project, what it warns of, and what it shows."""

import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardcover.notebooks import order
from hardcover.notebooks.stale_modules import Watch
from tests import projects

CELLS = ["#| default_exp a.b", "x = 1", "y = x + 1", "", "z = y", "run()"]


@given(
    st.lists(
        st.text(min_size=1).filter(str.strip),
        min_size=1,
    )
)
def test_cells_that_ran_from_top_to_bottom_are_in_order(cells):
    assert order.problems(cells, cells) == []
    assert order.problems(["old", *cells], cells) == []


def test_cells_that_say_the_same_are_told_apart_by_when_they_ran():
    cells = ["x = 1", "show()", "x = 2", "show()", "run()"]
    assert order.problems(cells, cells) == []
    assert order.problems(["x = 1", "show()", "show()", "x = 2", "run()"], cells) != []


@given(st.permutations(range(4)))
def test_any_other_order_is_said(places):
    cells = ["a = 1", "b = 2", "c = 3", "d = 4"]
    history = [*(cells[place] for place in places), "run()"]
    found = order.problems(history, [*cells, "run()"])
    assert (found == []) == (list(places) == [0, 1, 2, 3])


@pytest.mark.parametrize(
    ("history", "said"),
    [
        (["x = 1", "y = x + 1", "z = y", "run()"], []),
        (["x = 1", "z = y", "run()"], ["code cell 3 has not run as it stands: y = x + 1"]),
        (["x = 2", "y = x + 1", "z = y", "run()"], ["code cell 2 has not run as it stands: x = 1"]),
        (["y = x + 1", "x = 1", "z = y", "run()"], ["code cell 3 ran as [1], before cell 2 above it as [2]: y = x + 1"]),
        (["x = 1", "y = x + 1", "z = y", "x = 1", "y = x + 1", "z = y", "run()"], []),
        (["run(1)"], ["the running cell is not in the notebook's file as it runs: the notebook is not saved"]),
    ],
)  # fmt: skip
def test_what_ran_otherwise_than_it_stands_is_named(history, said):
    assert order.problems(history, CELLS) == said


def test_a_module_that_changed_after_its_import_is_named_once_for_each_change(tmp_path, monkeypatch):
    (tmp_path / "watched_package").mkdir()
    file = tmp_path / "watched_package" / "features.py"
    (tmp_path / "watched_package" / "__init__.py").write_text("")
    file.write_text("x = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    watch = Watch("watched_package")
    assert watch.look() == []
    import watched_package.features  # type: ignore[import-not-found]  # noqa: F401

    assert watch.look() == []
    file.write_text("x = 2\n")
    assert watch.look() == ["watched_package.features"]
    assert watch.look() == []
    file.write_text("x = 3\n")
    assert watch.look() == ["watched_package.features"]
    for name in ("watched_package.features", "watched_package"):
        monkeypatch.delitem(sys.modules, name)


PROGRAM = """
import json, sys
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
shell = InteractiveShell.instance()
shell.run_line_magic("load_ext", "kedro.ipython")
shell.run_line_magic("load_ext", "hardcover")
said = {}
for line in json.loads(sys.argv[1]):
    with capture_output() as caught:
        shell.run_line_magic("hardcover", line)
    said[line] = caught.stdout + "".join(output.data.get("text/html", "")[:600] for output in caught.outputs)
said["names"] = [shell.user_ns["case"], sorted(shell.user_ns["params"])[:2], "binary.clean" in shell.user_ns["catalog"]]
said["kedro"] = sorted(name for name in ("context", "session", "pipelines") if name in shell.user_ns)
said["shown"] = shell.user_ns["here"].show("clean")._repr_html_()
said["pictures"] = shell.user_ns["here"].show("performance_figures")._repr_html_()[:4000]
said["report"] = len(shell.user_ns["here"].show("clean").report().html())
print("SAID" + json.dumps(said))
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """Return what a shell in a case's folder says, after one run of the case."""
    folder = projects.write(tmp_path_factory.mktemp("kernel") / "small", ["binary", "count"])
    projects.call(folder, "hardcover", "run", "binary", "--export", "--no-prove")
    lines = [
        "",
        "run features",
        "why",
        "lineage",
        "lineage clean",
        "lineage nothing",
        "case count",
        "case nothing",
        "case binary",
    ]
    done = projects.call(folder, "python", "-c", PROGRAM, json.dumps(lines))
    return json.loads(done.stdout.partition("SAID")[2])


def test_load_ext_gives_catalog_parameters_and_case_beside_kedros_own(said):
    assert said["names"] == ["binary", ["anomaly", "column_mapping"], True]
    assert said["kedro"] == ["context", "pipelines", "session"]


def test_commands_are_about_the_notebooks_case(said):
    assert "%hardcover run" in said[""]
    assert "0 ran, 1 reused" in said["run features"]
    assert "binary.compute_features" in said["why"]
    assert said["lineage"].startswith("<iframe srcdoc=")
    assert "Lineage of binary.clean" in said["lineage clean"]
    assert "case 'count'" in said["case count"]


@pytest.mark.parametrize("line", ["lineage nothing", "case nothing"])
def test_an_unknown_name_is_said_with_those_that_are_known(said, line):
    assert said[line].startswith("error: unknown")
    assert "Known:" in said[line]


def test_a_version_shows_its_rows_hash_and_origin(said):
    for fact in ("binary.clean", "rows", "content", "made by", "binary.raw@", "<table"):
        assert fact in said["shown"]
    assert "data:image/png;base64" in said["pictures"]
    assert said["report"] > 100_000
