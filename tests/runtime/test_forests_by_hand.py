"""Forests whose arrays are written by hand: both evaluators take or refuse them, and answer, alike."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hardcover.forest import flatten
from hardcover.release import compiler
from hardcover.runtime import arrays
from hardcover.runtime.arrays import DamagedRelease
from hardcover.runtime.forest import Forest
from hardcover.runtime.forest_format import ARRAYS, IN_PLACE, LEAF
from hardcover.runtime.kernel import Kernel, NoKernel
from hardcover.runtime.shapley import Explainer, Unexplainable
from tests.runtime import driven

SO = str(compiler.kernel().path)


def parts() -> dict:
    """One split of feature 1 at 0.5 with two leaves; and one lone leaf."""
    node = [1 << 32, LEAF << 16 | 1 << 32, LEAF << 16 | 2 << 32, LEAF << 16 | 3 << 32]
    return {
        **{name: [] for name in ARRAYS},
        "node": node,
        "value": [0.0, 1.0, -1.0, 0.25],
        "leaf": [0, 0, 1, 0],
        "cover": [10, 4, 6, 0],
        "tree": [0, 3, 4],
        "threshold": [0.5],
        "threshold_offset": [0, 0, 1],
        "slot_feature": [1],
        "slot_first": [0],
        "slot_zero": [0],
        "slot_nan": [LEAF],
        "set_offset": [0],
    }


METADATA = {
    "format": "hardcover.forest/2",
    "features": "2",
    "outputs": "1",
    "link": "sigmoid",
    "slope": "0x1p+0",
    "divisor": "0x1p+0",
}


def both(changes: dict, metadata: dict = METADATA) -> list:
    """Construct a forest for each evaluator, from a file; gives what each said."""
    content = bytearray(
        flatten.write(
            {name: (ARRAYS[name], values) for name, values in {**parts(), **changes}.items()}, metadata
        )
    )
    said = []
    for make in (
        lambda: Forest(*arrays.parse(content)),
        lambda: Kernel(Forest(*arrays.parse(content), check=False), SO),
    ):
        try:
            said.append(make())
        except DamagedRelease as error:
            said.append(str(error))
    return said


def test_trees_are_added_and_a_lone_leaf_is_a_constant():
    for evaluator in both({}):
        assert evaluator.raw([9.0, 0.5]) == [1.25]
        assert evaluator.raw([9.0, 0.6]) == [-0.75]
        assert evaluator.raw([9.0, float("nan")]) == [-0.75]


def test_values_may_come_from_a_book():
    for evaluator in both({"value": [], "code": [0, 2, 0, 1], "book": [-1.0, 0.25, 1.0]}):
        assert evaluator.raw([9.0, 0.5]) == [1.25]
        assert evaluator.raw([9.0, 0.6]) == [-0.75]


def test_a_score_beyond_the_range_of_exp_is_0_or_1():
    for value, expected in ((-1e6, 0.0), (1e6, 1.0)):
        for evaluator in both({"value": [0.0, value, value, 0.0]}):
            assert evaluator.predict([0.0, 0.0]) == [expected]


def node(at: int, slot: int = 0, rank: int = 0, child: int = 1) -> list[int]:
    made = list(parts()["node"])
    made[at] = slot | rank << 16 | child << 32
    return made


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"node": node(0, slot=1)}, "names no slot"),
        ({"node": node(0, child=0)}, "children are not the next two"),
        ({"node": node(0, child=2)}, "children are not the next two"),
        ({"node": node(1, child=2)}, "children are not the next two"),
        ({"node": node(0, rank=LEAF)}, "children are not the next two"),
        ({"node": node(3, rank=0, child=4)}, "children are not the next two"),
        ({"node": node(0, rank=IN_PLACE)}, "a set of categories does not fit"),
        ({"node": []}, "differ in length"),
        ({"value": []}, "value and code differ from node"),
        ({"book": [1.0]}, "value and code differ from node"),
        ({"value": [], "code": [0, 0, 1, 0], "book": [1.0]}, "a leaf's value is not in the book"),
        ({"value": [], "code": [0] * 4, "book": [float("nan")]}, "a value is not finite"),
        ({"value": [0.0, float("inf"), 0.0, 0.0]}, "a value is not finite"),
        ({"tree": [0, 4, 4]}, "children are not the next two"),
        ({"tree": [0, 3, 3]}, "share out the nodes"),
        ({"tree": [0, 5, 4]}, "share out the nodes"),
        ({"tree": [1, 3, 4]}, "share out the nodes"),
        ({"tree": [0, 3, 4, 4]}, "a tree has no node"),
        ({"tree": []}, "has no trees"),
        ({"threshold": [float("nan")]}, "thresholds do not rise"),
        ({"threshold": [0.5, 0.5], "threshold_offset": [0, 0, 2]}, "thresholds do not rise"),
        ({"threshold_offset": [0, 2, 1]}, "share out the thresholds"),
        ({"slot_feature": [2]}, "a slot names no feature"),
        ({"slot_nan": [65536]}, "a slot names no feature"),
        ({"slot_first": []}, "differ in length"),
        ({"set_offset": []}, "a set of categories does not fit"),
        ({"set_offset": [1]}, "a set of categories does not fit"),
        ({"node_set": [0, 0, 0, 0]}, "a set of categories does not fit"),
        ({"node_set": [0]}, "a set of categories does not fit"),
        ({"linear_plain": [0.0] * 4}, "a linear term does not fit"),
        ({"linear_weight": [1.0], "linear_feature": [0]}, "a linear term does not fit"),
        (
            {"linear_plain": [0.0] * 4, "linear_offset": [0, 1, 1, 1, 1], "linear_weight": [1.0], "linear_feature": [2]},
            "a linear term does not fit",
        ),
        *(
            ({"table_feature": [0], "table_slot": [1], "table_slots": [2], "table_codes": [1], "table_offset": [0],
              "table_cell": [0] * 4, **change}, "a table of categories does not fit")
            for change in (
                {"table_feature": [2]}, {"table_slot": [0]}, {"table_slots": [3]}, {"table_codes": [2]},
                {"table_offset": [1]}, {"table_slots": [0]}, {"table_codes": [2**32 - 1]}, {"table_slots": [2**32 - 1]},
            )
        ),
    ],
)  # fmt: skip
def test_arrays_that_are_no_forest_are_refused_by_both_in_the_same_words(changes, complaint):
    plain, kernel = both(changes)

    assert plain == kernel
    assert complaint in plain


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"format": "other"},
        {**METADATA, "features": "x"},
        {**METADATA, "features": "0"},
        {**METADATA, "features": "99999999999"},
        {**METADATA, "outputs": "0"},
        {**METADATA, "outputs": "3"},
        {**METADATA, "slope": "nan"},
        {**METADATA, "divisor": "0x0p+0"},
        {**METADATA, "link": "logit"},
    ],
)
def test_metadata_that_do_not_fit_are_refused(metadata):
    assert all(isinstance(said, str) for said in both({}, metadata))


def test_a_missing_array_is_refused():
    with pytest.raises(DamagedRelease, match="'node' is missing"):
        Forest({name: [] for name in list(ARRAYS)[1:]}, METADATA)


def test_rows_may_come_as_lists_arrays_or_bytes():
    for evaluator in both({"threshold": [float(np.float32(0.1))], "value": [0.0, 1.0, -1.0, 0.0]}):
        for row in ([9, 0.1], (9.0, 0.1), np.array([9.0, 0.1]), np.array([9.0, 0.1]).tobytes()):
            assert evaluator.predict(row) == evaluator.predict([9.0, 0.1])
        # A float32 is not taken for the double that it was meant to be.
        assert evaluator.raw(np.array([9.0, 0.1], np.float32)) == [1.0]
        assert evaluator.raw(np.array([[9.0, 0.0], [0.1, 0.0]])[:, 0]) == [1.0]
        assert evaluator.raw([2**53 + 1, 0]) == [1.0]


def test_arrays_of_another_type_are_refused_before_they_are_read():
    content = parts()
    kinds = {**ARRAYS, "value": "U8", "leaf": "U8", "cover": "U8"}
    content |= {"value": [0, 1, 2, 3], "leaf": [0] * 4, "cover": [1] * 4}
    file = bytearray(
        flatten.write({name: (kinds[name], values) for name, values in content.items()}, METADATA)
    )

    with pytest.raises(DamagedRelease, match=r"is not of [FU]"):
        Forest(*arrays.parse(file), check=False)


def test_a_model_of_categories_alone_is_explained():
    inside = {
        "table_feature": [0],
        "table_slot": [0],
        "table_slots": [1],
        "table_codes": [2],
        "table_offset": [0],
    }
    nothing = dict.fromkeys(("threshold", "slot_feature", "slot_first", "slot_zero", "slot_nan"), ())
    changes = {**inside, **nothing, "table_cell": [0, 1, 1], "threshold_offset": [0, 0, 0]}
    plain, kernel = both(changes)

    assert plain.raw([0.0, 9.0]) == kernel.raw([0.0, 9.0]) == [1.25]
    assert Explainer(plain).explain([1.0, 9.0]) == kernel.explain([1.0, 9.0])
    assert kernel.explain([1.0, 9.0])[0] == pytest.approx(-1.0 - (0.4 - 0.6))


def test_a_library_of_another_version_is_no_kernel(tmp_path):
    for name, content in compiler.sources().items():
        (tmp_path / name).write_bytes(content)
    source = (tmp_path / "kernel.c").read_text()
    (tmp_path / "kernel.c").write_text(source.replace("uint32_t link,", "uint64_t link, more,"))
    other = driven.build(tmp_path / "other.so", "-O1", "-shared", "-fPIC", source=str(tmp_path / "kernel.c"))

    with pytest.raises(NoKernel, match="another version"):
        Kernel(Forest(parts(), METADATA), str(other))


def test_another_librarys_functions_do_not_stand_in_for_the_kernels(tmp_path):
    (tmp_path / "foreign.c").write_text(
        "int predict(void *f, void *r, long n, int w, double *s) { *s = 1234.5; return 0; }\n"
    )
    foreign = driven.build(tmp_path / "foreign.so", "-shared", "-fPIC", source=str(tmp_path / "foreign.c"))
    code = f"""
import ctypes, sys
ctypes.CDLL({str(foreign)!r}, ctypes.RTLD_GLOBAL)
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from tests.runtime.test_forests_by_hand import both
print(both({{}})[1].predict([9.0, 0.5]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(both({})[0].predict([9.0, 0.5]))


def test_rows_of_another_size_are_refused():
    for evaluator in both({}):
        for row in ([1.0], [1.0] * 3, b"", bytes(24), np.zeros(3), np.zeros(4, np.float32)):
            with pytest.raises(ValueError, match="a row has 2"):
                evaluator.predict(row)
    kernel = both({})[1]
    for rows in (np.zeros((3, 3)), np.zeros(2)):
        with pytest.raises(ValueError, match="rows have shape"):
            kernel.predict_many(rows)


def test_trees_too_deep_have_no_reasons():
    depth = 1100
    node, value = [1 << 32], [0.0]
    for level in range(depth):
        left = 1 + 2 * level
        value += [1.0, 0.0]
        inner = left + 2 < 1 + 2 * depth
        node += [LEAF << 16 | left << 32, (left + 2) << 32 if inner else LEAF << 16 | (left + 1) << 32]
    size = len(node)
    changes = {"node": node, "value": value, "leaf": [0] * size, "cover": [1] * size, "tree": [0, size]}
    for evaluator in both(changes):
        assert evaluator.raw([0.0, 0.4]) == [1.0]
        with pytest.raises(Unexplainable, match="too deep for explanations"):
            Explainer(evaluator) if isinstance(evaluator, Forest) else evaluator.explain([0.0, 0.0])


def test_what_is_no_library_is_no_kernel(tmp_path):
    other = tmp_path / "kernel.so"
    other.write_bytes(b"not one")
    forest = Forest(parts(), METADATA)

    with pytest.raises(NoKernel):
        Kernel(forest, str(other))
    with pytest.raises(NoKernel):
        Kernel(forest, "libm.so.6")
