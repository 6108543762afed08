"""What is known of a thing beforehand: the same number in training and in service, fitted on rows that no model learns from."""

import importlib
import io
import json
import math
import zipfile
from datetime import timedelta
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardcover import ingest
from hardcover.errors import DataError, FeatureError
from hardcover.forest import flatten, lightgbm_text
from hardcover.ingest.lookups import fitted
from hardcover.modelling import features as offline
from hardcover.release import events, wheel
from hardcover.runtime import lookups, windows
from hardcover.runtime.functions import dot
from hardcover.runtime.records import Fields
from tests.runtime.strategies import PLAIN, train

COLUMNS = {
    name: {"kind": kind, "role": role, "nullable": name == "film"}
    for name, kind, role in (
        ("id", "text", "key"), ("at", "time", "time"), ("user", "text", "entity"), ("film", "text", "context"),
        ("happened", "number", "event"), ("stars", "number", "ingredient"), ("liked", "number", "target"),
    )
}  # fmt: skip
SCHEMA = {
    "properties": {"stars": {"type": ["number", "null"], "x-role": "ingredient"}},
    "required": [],
    "x-columns": COLUMNS,
    "x-roles": {"key": "id", "time": "at", "entity": "user", "event": "happened", "target": "liked"},
}
TABLES = {
    "film": {
        "columns": ["year", "taste"],
        "rows": {"a": [1995.0, [0.1, 0.7]], "b": [None, [1.0, -1 / 3]], "c": [2003.0, None]},
    }
}


def declared() -> ModuleType:
    """Return a features module with lookups, windows over them, and functions of both."""
    module = ModuleType("films")

    def near(_taste, _lately):
        return dot(_taste, _lately)

    def newer(film_year, _usual_year):
        return film_year - _usual_year

    def loved(stars):
        return stars * 2.0

    for function in (near, newer, loved):
        function.__module__ = module.__name__
        setattr(module, function.__name__, function)
    module.film_year = lookups.number("year", by="film")
    module._taste = lookups.vector("taste", by="film", size=2)
    module._lately = windows.mean("_taste", by="user", over=3)
    module._usual_year = windows.mean("film_year", by="user", over=timedelta(days=2))
    module.seen = windows.count("user", over=timedelta(days=1))
    module.love = windows.total("loved", by="user", over=5)
    return module


def computed(rows: pd.DataFrame, module: ModuleType, tables: dict = TABLES) -> tuple[pd.DataFrame, dict]:
    found = offline.discover(module), [], windows.discover(module), None, lookups.discover(module), tables
    return offline.table_of(rows, SCHEMA, *found)


def table(rows: list[tuple]) -> pd.DataFrame:
    names = ["at", "user", "film", "happened", "stars"]
    found = pd.DataFrame(rows, columns=names).assign(liked=0.0, split="train")
    found["id"] = [f"k{number}" for number in range(len(rows))]
    found["at"] = (pd.Timestamp("2026-03-01") + pd.to_timedelta(found["at"], unit="h")).astype(
        "datetime64[us]"
    )
    return found.astype({"user": "str", "film": "str", "happened": "float64", "stars": "float64"})


cells = st.tuples(
    st.integers(0, 60),
    st.sampled_from(["u", "v"]),
    st.sampled_from(["a", "b", "c", "unknown", None]),
    st.sampled_from([1.0, 1.0, 0.0]),
    st.sampled_from([1.0, 2.5, 5.0, math.nan]),
)
# Something to look at, whatever is drawn.
ALWAYS = [(1, "u", "a", 1.0, 3.0), (2, "u", "a", 1.0, 3.0)]


@given(st.lists(cells, max_size=30))
def test_a_service_looks_up_what_the_table_says_and_its_windows_what_happened(drawn):
    module, rows = declared(), table([*ALWAYS, *drawn])
    found, plan = computed(rows, module)
    online = events.online_of(module, SCHEMA, plan)
    events.fill(online, rows, plan, None)
    for number, record in enumerate(events.records({name: events.plain(rows[name]) for name in rows})):
        values = online.inputs(record, Fields(SCHEMA).encode(record, validate=False))
        assert [values[name].hex() for name in plan["inputs"]] == [
            each.hex() for each in found.loc[number, plan["inputs"]].astype(float)
        ]
    many = online.inputs_of(rows, {"stars": rows["stars"].to_numpy()}, len(rows), plan["inputs"])
    np.testing.assert_array_equal(many, found[plan["inputs"]].to_numpy(np.float64))


def test_what_was_only_asked_about_is_seen_by_no_window():
    rows = [(1, "u", "a", 1.0, 4.0), (2, "u", "a", 0.0, math.nan), (3, "u", "b", 0.0, math.nan)]
    found, _ = computed(table(rows), declared())
    assert found["seen"].tolist() == [0.0, 1.0, 1.0]
    assert found["love"].tolist() == [0.0, 8.0, 8.0]
    # 0.1 * 1.0 + 0.7 * -1/3, one rounding after another.
    assert found["near"].tolist()[2] == 1.0 * 0.1 + (-1 / 3) * 0.7


def test_what_no_table_names_is_missing_and_only_that():
    tables = lookups.Tables(lookups.discover(declared()), TABLES, COLUMNS)
    assert tables.read({"film": "a"}) == {
        "film_year": 1995.0,
        "_taste": (0.1, 0.7),
        "_taste[0]": 0.1,
        "_taste[1]": 0.7,
    }
    for film in ("unknown", None):
        assert all(map(math.isnan, tables.read({"film": film})["_taste"]))
    assert math.isnan(tables.read({"film": "b"})["film_year"])
    with pytest.raises(ValueError, match="film: 7 is a int, not a text"):
        tables.read({"film": 7})


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        (
            "genre",
            lookups.number("genre", by="film"),
            "needs 'genre', which the table by 'film' does not have",
        ),
        ("old", lookups.number("yaer", by="film"), "did you mean 'year'?"),
        ("who", lookups.number("year", by="user"), "needs a table by 'user'; fit_lookups made 'film'"),
        ("when", lookups.number("year", by="at"), "goes by 'at', which is no column of text"),
        ("stars", lookups.number("year", by="film"), "has the name of a column"),
        ("taste", lookups.vector("taste", by="film", size=2), "name it _taste"),
        ("_three", lookups.vector("taste", by="film", size=3), "has 3 numbers, but the table has 2 for 'a'"),
        ("flat", lookups.number("taste", by="film"), "is a number, but the table has a list"),
        ("_some", windows.count("user", over=3, column="_taste"), "takes the count of a vector"),
        ("some", windows.mean("_taste", by="user", over=3), "its name begins with an underscore"),
    ],
)
def test_what_cannot_be_looked_up_is_named(name, value, said):
    module = declared()
    setattr(module, name, value)
    with pytest.raises(FeatureError, match=said):
        computed(table(ALWAYS), module)


@pytest.mark.parametrize("size", [0, -1, 2.0, True])
def test_a_vector_has_numbers(size):
    with pytest.raises(ValueError, match="1 or more"):
        lookups.vector("taste", by="film", size=size)


def test_a_table_is_fitted_on_earlier_rows_alone():
    def fit_lookups(clean, weight):
        mean = clean.groupby("film")["stars"].mean()
        return {"film": pd.DataFrame({"mean": mean * weight, "both": [[each, np.nan] for each in mean]})}

    clean = table([(1, "u", "a", 1.0, 4.0), (2, "u", "a", 1.0, 1.0), (3, "u", "b", 1.0, 2.0)])
    clean["split"] = ["earlier", "holdout", "train"]
    assert fitted(fit_lookups)(clean, 2) == {
        "film": {"columns": ["mean", "both"], "rows": {"a": [8.0, [4.0, None]]}}
    }
    with pytest.raises(DataError, match="no rows to fit tables on"):
        fitted(fit_lookups)(clean.iloc[1:], weight=2)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (pd.DataFrame({"mean": [1.0, 2.0]}, index=["a", "a"]), "has 'a' twice"),
        (pd.DataFrame({"mean": ["high"]}, index=["a"]), "'mean' of the table by 'film' has 'high'"),
    ],
)
def test_a_table_holds_numbers_by_name(found, said):
    clean = table(ALWAYS).assign(split="earlier")
    with pytest.raises(DataError, match=said):
        fitted(lambda clean: {"film": found})(clean)


FEATURES = """
from hardcover.runtime import lookups

film_year = lookups.number("year", by="film")
_taste = lookups.vector("taste", by="film", size=2)


def first(_taste):
    return _taste[0]


def stars_again(stars):
    return stars


def age(film_year):
    return 2026.0 - film_year
"""


def test_a_wheel_without_windows_looks_up_too(tmp_path, monkeypatch):
    (tmp_path / "films_features.py").write_text(FEATURES)
    monkeypatch.syspath_prepend(tmp_path)
    written = importlib.import_module("films_features")
    inputs = ["age", "film_year", "first", "stars", "stars_again"]
    field = {"type": ["string", "null"], "x-role": "context"}
    files = {
        "model.safetensors": flatten.to_bytes(lightgbm_text.parse(train(PLAIN).model_to_string())),
        "schema.json": json.dumps({**SCHEMA, "properties": {**SCHEMA["properties"], "film": field}}).encode(),
        "golden.json": b'{"rows": []}',
        lookups.FILE: json.dumps(TABLES).encode(),
    }
    about = {"case": "films", "inputs": inputs, "decision": {"kind": "threshold", "threshold": 0.5}}
    made = wheel.build("project_films", "films", "0.1.0", written, files, about)
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        archive.extractall(tmp_path)
        assert not any("windows" in name for name in archive.namelist())

    model = importlib.import_module("project_films").model
    rows = {"stars": [1.0, 2.0, 3.0], "film": ["a", "unknown", None]}
    found = model.inputs_of({name: np.array(column, dtype=object) for name, column in rows.items()})

    assert found[0].tolist() == [31.0, 1995.0, 0.1, 1.0, 1.0]
    assert np.isnan(found[1:, :3]).all()
    alone = [model.predict(record).score for record in events.records(rows)]
    assert [each.hex() for each in alone] == [each.hex() for each in model.score_inputs(found)]
    assert np.isnan(model.inputs_of({"stars": [1.0]})[0, :3]).all()
    assert len(model.rank({"stars": 1.0}, [{"film": "a"}, {"film": "b"}], top=1)) == 1
    with pytest.raises(ValueError, match="row 1, film: 7 is a int, not a text"):
        model.rank({"stars": 1.0}, [{"film": "a"}, {"film": 7}])

    (tmp_path / "project_films" / lookups.FILE).write_text("{}")
    fresh = importlib.import_module("project_films.runtime").Model(model._folder, model._module)
    with pytest.raises(ValueError, match=r"lookups\.json is not the file that was released"):
        fresh.predict({"film": "a"})


def test_the_stage_fits_tables_only_where_it_is_told_how():
    import pandera.pandas as pa

    schema = pa.DataFrameSchema({"x": ingest.number("1", "some"), "y": ingest.flag("target", "whether")})
    assert "lookups" not in ingest.create_pipeline(schema).all_outputs()
    made = ingest.create_pipeline(schema, fit_lookups=lambda clean: {})
    assert "lookups" in made.all_outputs()
