"""A file and the name of a column become a proven case; what cannot is refused, and nothing is left behind."""

import json

import numpy as np
import pandas as pd
import pytest

from hardcover.errors import HardcoverError
from hardcover.template import add
from hardcover.template.plan import Proposal
from tests import projects


@pytest.fixture
def table():
    """Return rows as somebody exports them: a blank, an amount, a decimal comma, days of another order, a leak."""
    noise = np.random.default_rng(0)
    rows = 600
    load, price = noise.normal(50, 10, rows), noise.uniform(100, 9000, rows)
    late = (noise.random(rows) < 1 / (1 + np.exp(-(load - 55) / 4))).astype(int)
    return pd.DataFrame(
        {
            "Order No.": [f"A{number:05d}" for number in range(rows)],
            "ordered": [f"{1 + n % 28:02d}/{1 + n // 28 % 12:02d}/{2020 + n // 336}" for n in range(rows)],
            "Load [kg]": [f"{value:.1f}".replace(".", ",") if value > 35 else "?" for value in load],
            "Price": [f"${value:,.2f}" for value in price],
            "Zip": [f"{value:05d}" for value in noise.choice([501, 10115, 1234], rows)],
            "express": noise.choice(["yes ", "no"], rows),
            "reason": np.where(late == 1, "van broke down", ""),
            "late?": np.where(late == 1, "yes", "no"),
        }
    )


@pytest.fixture
def project(tmp_path):
    folder = projects.write(tmp_path / "project", ["binary"])
    projects.call(folder, "nbdev-export")
    return folder


def _add(project, *command, check=True):
    return projects.call(project, "hardcover", "add", *command, check=check)


def _files(folder):
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and not {"data", "mlflow.db"} & set(path.parts)
    }


def test_a_file_of_another_dialect_becomes_a_proven_case(project, table, tmp_path):
    file = tmp_path / "orders.csv"
    table.to_csv(file, sep=";", index=False)
    said = json.loads(_add(project, "orders", "--data", file, "--target", "late?", "--yes", "--json").stdout)
    assert (said["task"], said["split"]) == ("binary", "time")
    parts = {column["name"]: column["part"] for column in said["columns"]}
    assert parts == {
        "order_no": "context", "ordered": "context", "ordered_day": "day", "load_kg": "input", "price": "input", "zip": "input", "express": "input",
        "reason": "leak", "late": "target",
    }  # fmt: skip
    assert (
        "all faces give the same bits"
        in projects.call(project, "hardcover", "run", "orders", "--env", "ci").stdout
    )
    clean = pd.read_parquet(next(project.rglob("03_primary/orders/*/*/clean.parquet")))
    assert len(clean) == len(table)
    price = table["Price"].str.replace(r"[$,]", "", regex=True).astype(float).to_numpy()
    assert np.array_equal(np.sort(clean["price"].to_numpy()), np.sort(price))
    assert clean["load_kg"].isna().sum() == (table["Load [kg]"] == "?").sum()
    assert clean["ordered"].min() == pd.Timestamp("2020-01-01")
    assert clean["ordered_day"].min() == (pd.Timestamp("2020-01-01") - pd.Timestamp(0)).days
    plan = json.loads(next(project.rglob("04_feature/orders/*/*/feature_plan.json")).read_text())
    assert {*plan["functions"]} == {"ordered_weekday", "ordered_year_sin", "ordered_year_cos"}
    assert "ordered_day" not in plan["inputs"], "split by time, so later days lie beyond what was learned"
    assert set(clean["zip"]) == {"00501", "10115", "01234"}
    assert "reason" not in plan["inputs"]
    parameters = project / "conf" / "base" / "parameters_orders.yml"
    waived = parameters.read_text().replace("waivers: {}", 'waivers: {reason: "known when it is packed"}')
    assert waived != parameters.read_text()
    parameters.write_text(waived)
    projects.call(project, "hardcover", "run", "orders", "--env", "ci", "--stage", "data", "features")
    newest = max(project.rglob("04_feature/orders/*/*/feature_plan.json"))
    assert "reason" in json.loads(newest.read_text())["inputs"]


REFUSED = {
    "no such target": (["--target", "lat"], "unknown column 'lat'"),
    "a target of text": (["--target", "note"], "no model can be asked"),
    "a constant target": (["--target", "always"], "nothing to learn"),
    "an unknown task": (["--target", "late", "--task", "clustering"], "unknown task 'clustering'"),
    "an unknown split": (["--target", "late", "--split", "fair"], "unknown split 'fair'"),
    "an unknown time": (["--target", "late", "--time", "whenever"], "unknown column 'whenever'"),
    "no terminal to agree on": (["--target", "late"], "--yes"),
}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    lines = [f'{n % 7}.5,"on day {n} of the year it was late again",1,{n % 2}' for n in range(60)]
    (folder / "small.csv").write_text("\n".join(["x,note,always,late", *lines]))
    return projects.write(folder / "project", ["binary"]), folder / "small.csv"


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_a_case_is_refused_and_leaves_nothing(small, name):
    project, file = small
    options, said = REFUSED[name]
    before = _files(project)
    done = _add(
        project, "own", "--data", file, *options, *([] if said == "--yes" else ["--yes"]), check=False
    )
    assert done.returncode == 1
    assert said in done.stderr, done.stderr
    assert _files(project) == before


@pytest.mark.parametrize("name", ["binary", "Own", "2nd", "class", "model", "a b", "../up"])
def test_a_name_that_cannot_be_or_is_taken_is_refused_with_one_that_could(small, name):
    project, file = small
    before = _files(project)
    done = _add(project, name, "--data", file, "--target", "late", "--yes", check=False)
    assert done.returncode == 1
    assert "already" in done.stderr or "such as" in done.stderr, done.stderr
    assert _files(project) == before


def test_a_failed_export_leaves_nothing_behind(small, monkeypatch):
    project, file = small
    before = _files(project)
    proposal = add.propose([str(file)], "late")

    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(add.exported, "export", stopped)
    with pytest.raises(KeyboardInterrupt):
        add.write(project, "own", [str(file)], proposal)
    assert _files(project) == before
    assert not (project / "notebooks" / "own").exists()
    assert not list((project / "data").rglob("small.csv"))


def test_too_few_rows_are_refused(tmp_path):
    (tmp_path / "few.csv").write_text("a,b\n" + "".join(f"{n},{n % 2}\n" for n in range(10)))
    with pytest.raises(HardcoverError, match="10 rows are too few"):
        add.propose([str(tmp_path / "few.csv")], "b")


@pytest.mark.parametrize(
    ("header", "names"),
    [
        ("a b,a_b,A-B", ["a_b", "a_b_2", "a_b_3"]),
        ("split,score,class", ["split_2", "score_2", "c_class"]),
        ("größe,Ж,2024", ["groe", "column", "c_2024"]),
    ],
)
def test_names_become_identifiers_that_are_all_different(tmp_path, header, names):
    lines = "\n".join(f"{n % 7}.5,{n % 5}.25,{n % 3}.75,{n % 2}" for n in range(60))
    (tmp_path / "t.csv").write_text(f"{header},y\n{lines}\n", encoding="utf-8")
    proposal = add.propose([str(tmp_path / "t.csv")], "y")
    assert [column.name for column in proposal.planned][:3] == names
    assert Proposal.from_json(proposal.to_json()) == proposal


def test_two_files_of_one_name_are_not_laid_over_each_other(project, tmp_path):
    rows = "a,y\n" + "".join(f"{n % 7}.5,{n % 5}.25\n" for n in range(60))
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "t.csv").write_text(rows)
    before = _files(project)
    files = [tmp_path / folder / "t.csv" for folder in ("first", "second")]
    done = _add(project, "own", "--data", *files, "--target", "y", "--yes", check=False)
    assert done.returncode == 1
    assert "two files have the name 't.csv'" in done.stderr
    assert _files(project) == before


@pytest.mark.parametrize("column", ["a", "d"])
def test_a_time_that_does_not_read_as_one_is_refused(tmp_path, column):
    """`d` has days and months that cannot be told apart."""
    lines = "\n".join(f"{n % 7}.5,0{1 + n % 9}/0{1 + n % 8}/2024,{n % 3}.25" for n in range(60))
    (tmp_path / "t.csv").write_text(f"a,d,y\n{lines}\n")
    with pytest.raises(HardcoverError, match="do not read as times"):
        add.propose([str(tmp_path / "t.csv")], "y", time=column)
