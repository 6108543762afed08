"""Splits: what a policy promises holds for any table, and a table that cannot keep it is refused."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardcover.errors import DataError, UnknownName
from hardcover.ingest import splits

ROLES = {"key": "id", "entity": "card", "time": "at", "target": "fraud"}
SPLIT = {"by": "auto", "validation": 0.2, "holdout": 0.2, "gap": 0, "seed": 1}


def table(rows: int, entities: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "id": [str(row) for row in range(rows)],
            "card": [f"c{number}" for number in rng.integers(0, entities, rows)],
            "at": pd.Timestamp("2026-01-01") + pd.to_timedelta(rng.integers(0, 5_000_000, rows), unit="s"),
            "fraud": rng.integers(0, 2, rows),
        }
    )


@given(st.integers(200, 400), st.integers(20, 60), st.integers(0, 100), st.sampled_from(["auto", "entity"]))
def test_an_entity_is_in_one_part(rows, entities, seed, policy):
    made = table(rows, entities, seed)

    parts, words = splits.assign(made, ROLES, {**SPLIT, "by": policy, "seed": seed}, has_classes=True)

    assert parts.groupby(made["card"]).nunique().max() == 1
    assert set(parts) == set(splits.PARTS)
    assert words == "card"


@given(st.integers(200, 400), st.floats(0, 3), st.integers(0, 100))
def test_a_part_begins_after_the_one_before_and_the_gap(rows, gap, seed):
    made = table(rows, 30, seed)

    parts, _ = splits.assign(made, ROLES, {**SPLIT, "by": "time", "gap": gap}, has_classes=True)

    for before, after in (("train", "validation"), ("validation", "holdout")):
        first, last = made.loc[parts == after, "at"].min(), made.loc[parts == before, "at"].max()
        assert last + pd.Timedelta(days=gap) <= first
    assert set(parts) <= {*splits.PARTS, splits.UNUSED}
    if gap == 0:
        assert splits.UNUSED not in set(parts)
        assert (parts == "holdout").mean() == pytest.approx(0.2, abs=0.02)


@given(st.integers(0, 100))
def test_by_entity_and_time_a_holdout_row_is_new_in_both(seed):
    made = table(3000, 60, seed)

    parts, words = splits.assign(made, ROLES, {**SPLIT, "by": "entity_time", "seed": seed}, has_classes=True)

    seen, unseen = made[parts == "train"], made[parts == "holdout"]
    assert not set(seen["card"]) & set(unseen["card"])
    assert seen["at"].max() <= unseen["at"].min()
    assert words == "card and time"


def test_rows_keep_their_classes_shares_and_unnamed_entities_are_split_as_rows():
    made = table(1000, 20, 0).assign(fraud=[1] * 100 + [0] * 900, card=None)

    parts, words = splits.assign(made, ROLES, SPLIT, has_classes=True)

    assert (parts[:100] == "holdout").sum() == 20
    assert (parts[100:] == "holdout").sum() == 180
    assert words == "stratified rows (no card named)"
    some = made.assign(card=["a", "b", "c", "d", "e"] * 20 + [None] * 900)
    assert splits.assign(some, ROLES, SPLIT, has_classes=True)[1] == "card where named, else row"


def test_a_query_is_kept_together_like_an_entity():
    made = table(300, 30, 0)

    parts, _ = splits.assign(made, {"query": "card", "target": "fraud"}, SPLIT, has_classes=False)

    assert parts.groupby(made["card"]).nunique().max() == 1


@pytest.mark.parametrize(
    ("rows", "roles", "split", "complaint"),
    [
        (table(300, 30, 0), ROLES, {"by": "tiem"}, "unknown split 'tiem'.*Did you mean 'time'"),
        (table(300, 30, 0), {"target": "fraud"}, {"by": "entity"}, "needs a column that no role names"),
        (table(300, 30, 0), {"target": "fraud"}, {"by": "time"}, "needs a column that no role names"),
        (table(300, 30, 0).assign(at=pd.NaT), ROLES, {"by": "time"}, "300 rows have no 'at'"),
        (table(300, 30, 0), ROLES, {"by": "time", "gap": 1000}, "the part 'train' has no rows"),
        (table(300, 1, 0), ROLES, {"by": "entity"}, "has no rows"),
    ],
)
def test_what_a_policy_cannot_keep_is_refused(rows, roles, split, complaint):
    with pytest.raises((DataError, UnknownName), match=complaint):
        splits.assign(rows, roles, {**SPLIT, **split}, has_classes=True)
