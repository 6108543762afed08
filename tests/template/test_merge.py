"""Three texts become one, and no line that anybody wrote is lost."""

import json

from hypothesis import given
from hypothesis import strategies as st

from hardcover.template import merge, notebooks

LINES = st.lists(st.sampled_from("abcdefgh"), max_size=8).map(lambda words: "".join(f"{w}\n" for w in words))
CELLS = st.dictionaries(
    st.sampled_from("pqrstuv"), st.sampled_from(["1", "2\n3", "4\n5\n6"]), min_size=1, max_size=6
)


def _notebook(cells):
    return notebooks.notebook(*((name, "code", source) for name, source in cells.items()))


def _sources(text):
    return {cell["id"]: "".join(cell["source"]) for cell in json.loads(text)["cells"]}


@given(LINES, LINES)
def test_what_one_side_changed_is_taken(base, changed):
    assert merge.lines(base, changed, base) == (changed, 0)
    assert merge.lines(base, base, changed) == (changed, 0)
    assert merge.lines(base, changed, changed) == (changed, 0)


@given(LINES, LINES, LINES)
def test_a_line_that_either_side_wrote_is_there_afterwards(base, ours, theirs):
    merged = merge.lines(base, ours, theirs)
    written = ({*ours.split()} | {*theirs.split()}) - {*base.split()}
    assert written <= {*merged.text.split()}
    assert merge.is_marked(merged.text) == (merged.conflicts > 0)


@given(CELLS, CELLS)
def test_cells_that_one_side_changed_are_taken(base, changed):
    old, new = _notebook(base), _notebook(changed)
    assert _sources(merge.notebooks(old, new, old).text) == changed
    assert _sources(merge.notebooks(old, old, new).text) == changed
    assert merge.notebooks(old, old, new).conflicts == 0


@given(CELLS, CELLS, CELLS)
def test_a_notebook_opens_after_any_merge_and_no_changed_cell_is_lost(base, ours, theirs):
    merged = merge.notebooks(*map(_notebook, (base, ours, theirs)))
    found = _sources(merged.text)
    for side in (ours, theirs):
        for name, source in side.items():
            if base.get(name) != source:
                assert {*source.split()} <= {*found[name].split()}
    if not merged.conflicts:
        assert not any("<<<<<<<" in source for source in found.values())


def test_our_outputs_stay_and_a_conflict_is_marked_within_its_cell():
    base = _notebook({"one": "x = 1", "two": "y = 1"})
    ours = json.loads(_notebook({"one": "x = 2", "two": "y = 1", "mine": "z = 1"}))
    ours["cells"][1]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": ["1"]}]
    theirs = _notebook({"new": "import os", "one": "x = 3", "two": "y = 1"})
    merged = merge.notebooks(base, json.dumps(ours), theirs)
    cells = json.loads(merged.text)["cells"]
    assert [cell["id"] for cell in cells] == ["new", "one", "two", "mine"]
    assert "".join(cells[1]["source"]).splitlines() == [
        "<<<<<<< this project", "x = 2", "=======", "x = 3", ">>>>>>> the template",
    ]  # fmt: skip
    assert cells[2]["outputs"]
    assert merged.conflicts == 1
