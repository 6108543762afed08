"""A column that knows the target is told, with evidence and standard errors; a strong honest one is not."""

import math

import numpy as np
import pandas as pd
import pytest

from hardcover.inspection import columns, inspect, questions, reading

ROWS = 3_000


def table_of(seed=0):
    """Return rows of a machine whose failure depends on its load, honestly and with noise."""
    noise = np.random.default_rng(seed)
    load, age = noise.normal(50, 10, ROWS).round(4), noise.integers(0, 200, ROWS)
    chance = 1 / (1 + np.exp(-(load - 62) / 3 - (age - 150) / 40))
    failed = (noise.random(ROWS) < chance).astype(int)
    return pd.DataFrame(
        {"load": load, "age": age, "kind": noise.choice(["a", "b", "c"], ROWS), "failed": failed}
    ), noise


def leaks_of(table, target, tmp_path):
    table.to_csv(tmp_path / "table.csv", index=False)
    return {leak.column: leak for leak in inspect([tmp_path / "table.csv"], target).leaks}


def test_a_table_without_leaks_accuses_no_column(tmp_path):
    assert leaks_of(table_of()[0], "failed", tmp_path) == {}


PLANTED = {
    "copy": lambda table, noise: np.where(table.failed == 1, "stopped", "running"),
    "pure value": lambda table, noise: ((table.failed == 1) & (noise.random(ROWS) < 0.3)).astype(int),
    "missing until the event": lambda table, noise: np.where(
        table.failed == 1, noise.normal(9, 2, ROWS).round(2).astype(str), ""
    ),
}


@pytest.mark.parametrize("kind", PLANTED)
def test_a_planted_leak_is_found_with_its_kind_and_severity(tmp_path, kind):
    table, noise = table_of()
    found = leaks_of(table.assign(planted=PLANTED[kind](table, noise)), "failed", tmp_path)
    assert found.keys() == {"planted"}
    assert found["planted"].kind == kind
    assert found["planted"].severity > 5
    assert found["planted"].evidence


def test_flags_named_alike_are_accused_together(tmp_path):
    table, noise = table_of()
    part = noise.integers(0, 3, ROWS)
    for number, name in enumerate(("AWF", "BHF", "CPF")):
        table[name] = ((table.failed == 1) & (part == number)).astype(int)
    table["DRF"] = (noise.random(ROWS) < 0.002).astype(int)
    found = leaks_of(table, "failed", tmp_path)
    assert {"AWF", "BHF", "CPF", "DRF"} == found.keys()
    assert found["DRF"].kind == "sibling"


def test_a_number_that_follows_the_target_row_by_row_is_a_copy(tmp_path):
    table, noise = table_of()
    table = table.drop(columns="failed").assign(cost=np.exp(table.load / 20 + noise.normal(0, 0.5, ROWS)))
    found = leaks_of(table.assign(logged=np.log(table.cost)), "cost", tmp_path)
    assert found.keys() == {"logged"}
    assert math.isinf(found["logged"].severity)


def test_what_is_missing_with_the_target_is_known_with_it(tmp_path):
    table, noise = table_of()
    table = table.drop(columns="failed").assign(
        delay=noise.normal(10, 5, ROWS), landed=noise.integers(0, 2400, ROWS)
    )
    table.loc[:99, ["delay", "landed"]] = np.nan
    assert leaks_of(table, "delay", tmp_path)["landed"].kind == "known with the target"


def test_rows_that_come_twice_are_counted(tmp_path):
    table, _ = table_of()
    found = leaks_of(pd.concat([table, table.head(200)]), "failed", tmp_path)
    assert found["rows"].kind == "duplicates"
    assert found["rows"].evidence.startswith("200 rows")


def test_an_entity_on_both_sides_shows_the_score_of_both_splits(tmp_path):
    table, noise = table_of()
    machine = noise.integers(0, 100, ROWS)
    wear = noise.random(100)
    table = table.assign(
        machine_id=[f"M{number:03d}" for number in machine], signature=(1000 * wear[machine]).round(3)
    )
    table["failed"] = (noise.random(100) < 0.5).astype(int)[machine]
    found = leaks_of(table, "failed", tmp_path)
    assert found["machine_id"].kind == "entity"
    assert "a random split shows a skill of" in found["machine_id"].evidence


@pytest.mark.parametrize(
    ("name", "values", "task", "said"),
    [
        ("failed", ["0", "1"], "binary", "'1'"),
        ("outcome", ["good", "bad"], "binary", "'bad'"),
        ("species", ["a", "b", "c"], "multiclass", "3 classes"),
        ("class_type", ["1", "2", "3", "4"], "multiclass", "4 classes"),
        ("rating", ["1", "2", "3", "4", "5"], "regression", "scale from 1 to 5"),
        ("count", [str(number) for number in range(40)], "count", "non-negative integers"),
        ("price", [f"{number}.25" for number in range(40)], "regression", "numbers from 0.25"),
        ("amount due", [f"${number},250.50" for number in range(1, 40)], "regression", "numbers from 1250.5"),
        (
            "remark",
            [f"it was loud on day {number} of the week" for number in range(200)],
            None,
            "no table predicts it",
        ),
        ("always", ["1"], None, "nothing to learn"),
        ("when", [f"2024-01-{day:02d}" for day in range(1, 29)], None, "predict a duration"),
        ("city", [f"city {number}" for number in range(150)], None, "no table predicts it"),
    ],
)
def test_the_task_of_a_target_is_told_with_its_reason(tmp_path, name, values, task, said):
    lines = [f"{number % 17}.5,{values[number % len(values)]!r}".replace("'", '"') for number in range(200)]
    (tmp_path / "t.csv").write_text("\n".join([f"x,{name}", *lines]))
    read = reading.read([tmp_path / "t.csv"])
    found = questions.ask(list(columns.describe(read)), name, read.rows)
    assert found.task == task, found
    assert said in found.why, found


@pytest.mark.parametrize(("months", "split"), [(3, "stratified"), (24, "time")])
def test_a_split_by_time_needs_enough_different_times(tmp_path, months, split):
    when = [f"{2020 + n % months // 12}-{1 + n % months % 12:02d}" for n in range(200)]
    lines = [f"{n % 17}.5,{when[n]},{n % 2}" for n in range(200)]
    (tmp_path / "t.csv").write_text("\n".join(["x,month,late", *lines]))
    read = reading.read([tmp_path / "t.csv"])
    assert questions.ask(list(columns.describe(read)), "late", read.rows).split == split
