"""What settings are chosen by, where rows are many."""

import numpy as np
import pandas as pd
import pytest

from hardcover.modelling import training

ROWS = 5_000


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr(training, "MAX_TRIED", 1_000)


def table() -> pd.DataFrame:
    chance = np.random.default_rng(2)
    return pd.DataFrame(
        {
            "split": chance.choice(["train", "validation", "holdout"], ROWS, p=[0.6, 0.2, 0.2]),
            "when": pd.Timestamp("2024-01-01") + pd.to_timedelta(chance.permutation(ROWS), unit="h"),
            "machine": chance.integers(0, 100, ROWS),
        }
    )


def sample(by: str, roles: dict, rows: pd.DataFrame) -> pd.DataFrame:
    return training._sample(rows, {"roles": roles}, {"by": by}, seed=1)


def test_few_rows_are_all_taken_but_never_the_holdout():
    rows = table().head(1_200)

    assert sample("random", {}, rows).equals(rows[rows["split"] != "holdout"])


def test_rows_are_drawn_alike_for_a_seed():
    rows = table()
    drawn = sample("random", {}, rows)

    assert len(drawn) == 1_000
    assert "holdout" not in set(drawn["split"])
    assert drawn.equals(sample("random", {}, rows))


def test_under_a_split_by_time_the_latest_rows_are_taken_in_their_order():
    rows = table()
    drawn, used = sample("time", {"time": "when"}, rows), rows[rows["split"] != "holdout"]

    assert len(drawn) == 1_000
    assert drawn["when"].min() > used.drop(drawn.index)["when"].max()
    assert drawn.index.is_monotonic_increasing


def test_entities_stay_whole():
    rows = table()
    drawn, used = sample("entity", {"entity": "machine"}, rows), rows[rows["split"] != "holdout"]

    assert 900 <= len(drawn) <= 1_000
    assert len(drawn) == used["machine"].isin(set(drawn["machine"])).sum()
