"""Labels that come late: each is known once, a correction is a version of its own, and what is none is refused with its line."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardcover.errors import SourceError
from hardcover.monitoring import answers, labels
from tests.monitoring.conftest import CASE
from tests.serving.conftest import examples


@pytest.fixture
def bring(loop, tmp_path):
    def bring(text: str, name: str = "labels.csv") -> dict:
        file = tmp_path / name
        file.write_text(text)
        return labels.take(CASE, [file], "ci")

    return bring


def test_new_repeated_corrected_and_contradicting_labels_are_told_apart(bring):
    assert bring("id,failure\na,0\nb,1\n")["new"] == 2
    told = bring(
        "id,failure,known\na,0,2026-03-04\nb,0,2026-03-05T12:00+02:00\nc,1,2026-03-04\nd,1,2026-03-04\nd,0,2026-03-04\n"
    )
    assert (told["new"], told["corrected"], told["repeated"], told["refused"], told["unserved"]) == (
        1,
        1,
        1,
        1,
        2,
    )
    assert "id d, row 0: labels that contradict each other" in told["reasons"]
    found = labels.newest(CASE).set_index("id")
    assert found["target"].to_dict() == {"a": 0.0, "b": 0.0, "c": 1.0}
    assert found.loc["b", "known"] == pd.Timestamp("2026-03-05T10:00")
    # What was known before is there still, in its version.
    first, _ = answers.known(CASE, answers.LABELS)
    assert labels.newest(CASE, [first]).set_index("id")["target"].to_dict() == {"a": 0.0, "b": 1.0}


def test_the_same_file_again_makes_no_version(bring):
    bring("id,failure\na,0\nb,1\n")
    told = bring("id,failure\nb,1\na,0\n")
    assert (told["repeated"], told["version"]) == (2, None)
    assert len(answers.known(CASE, answers.LABELS)) == 1


def test_rows_of_a_request_are_told_apart(bring):
    bring("id,row,failure\nr,0,0\nr,1,1\n")
    assert labels.newest(CASE)["target"].tolist() == [0.0, 1.0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("id,failed\na,1\n", "column 'failure' is missing; found 'failed'"),
        ("request,failure\na,1\n", "column 'id' is missing"),
        ("id,failure\na,2\n", "no row is a label: line 2 of labels.csv: failure '2'"),
        ("id,failure,known\na,1,never\n", "row or time is none"),
        ("id,row,failure\na,half,1\n", "row or time is none"),
        ("id,failure\n,1\n", "no id"),
        ("id,failure\n", "no rows"),
        ("", "empty"),
    ],
)
def test_a_file_without_labels_is_refused_whole(bring, text, words):
    with pytest.raises(SourceError, match=words.replace("(", r"\(")):
        bring(text)
    assert answers.known(CASE, answers.LABELS) == []


def test_good_lines_are_taken_and_bad_ones_named(bring):
    told = bring("id,failure\na,1\nb,maybe\nc,0\n")
    assert (told["new"], told["refused"]) == (2, 1)
    assert told["reasons"] == ["line 3 of labels.csv: failure 'maybe'"]


@examples(3, 200)
@given(
    st.lists(
        st.lists(
            st.tuples(st.sampled_from("abcd"), st.sampled_from("01")),
            min_size=1,
            max_size=5,
            unique_by=lambda each: each[0],
        ),
        max_size=4,
    )
)
def test_the_newest_of_all_files_counts(bring, files):
    state: dict[str, str] = {
        name: str(int(target)) for name, target in labels.newest(CASE).set_index("id")["target"].items()
    }
    for file in files:
        bring("id,failure\n" + "".join(f"{name},{target}\n" for name, target in file))
        state |= dict(file)
    found = labels.newest(CASE).set_index("id")["target"]
    assert {name: str(int(target)) for name, target in found.items()} == state
