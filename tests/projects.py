"""Small projects of their own, as a user would have them, made from scikit-learn's bundled data: one case for each task."""

import json
import subprocess
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn import datasets

from hardcover.template import new, notebooks
from tests.conftest import BIN, Place

PACKAGE = "small"


class Table(NamedTuple):
    """A table and what its columns are."""

    rows: pd.DataFrame
    schema: str
    feature: str
    parameters: dict


def _numbers(bunch, count: int) -> pd.DataFrame:
    names = [f"x{number}" for number in range(count)]
    return pd.DataFrame(bunch.data[:, :count], columns=names)


def _schema(rows: pd.DataFrame, target: str, more: str = "") -> str:
    """Write the schema as source: a key, numbers in their ranges, the target."""
    lines = ['    "number": ingest.text("key", "number of the row", unique=True),']
    for name in rows:
        if name.startswith("x"):
            low, high = float(rows[name].min()) - 1.0, float(rows[name].max()) + 1.0
            lines.append(f'    "{name}": ingest.measured("1", {low!r}, {high!r}, "a number"),')
    return "\n".join(["{", *lines, *([more] if more else []), f'    "answer": {target},', "}"])


def binary() -> Table:
    """Breast cancer: 569 rows, two classes."""
    bunch = datasets.load_breast_cancer()
    rows = _numbers(bunch, 8).assign(answer=bunch.target)
    schema = _schema(rows, 'ingest.flag("target", "whether it is benign")')
    parameters = {"costs": {"missed": 1, "false_alarm": 5, "unit": "points"}}
    return Table(rows, schema, "def ratio(x0, x1):\n    return x0 / x1", parameters)


def multiclass() -> Table:
    """Wine: 178 rows, three classes by name; one input is a category."""
    bunch = datasets.load_wine()
    rows = _numbers(bunch, 6).assign(answer=np.array(["barolo", "grignolino", "barbera"])[bunch.target])
    rows["x5"] = rows["x5"].round(1)
    rows["tone"] = np.where(bunch.data[:, 9] > 5, "dark", "light")
    more = '    "tone": ingest.category("input", ["light", "dark"], "how dark it is"),'
    target = 'ingest.category("target", ["barbera", "barolo", "grignolino"], "the grape")'
    schema = _schema(rows, target, more)
    costs = {
        truth: {label: 0 if truth == label else 1 + (truth == "barolo") for label in COSTED}
        for truth in COSTED
    }
    parameters = {"costs": {"matrix": costs}}
    return Table(rows, schema, 'def dark(tone, x0):\n    return x0 if tone == "dark" else -x0', parameters)


COSTED = ("barbera", "barolo", "grignolino")


def regression() -> Table:
    """Diabetes: 442 rows, an amount; visits of patients in time."""
    bunch = datasets.load_diabetes()
    rows = _numbers(bunch, 6).assign(answer=bunch.target)
    rows["patient"] = [f"p{number % 60}" for number in range(len(rows))]
    rows["seen"] = pd.Timestamp("2026-01-01") + pd.to_timedelta(np.arange(len(rows)), unit="D")
    more = '    "patient": ingest.text("entity", "who"),\n    "seen": ingest.moment("time", "when", nullable=False),'
    schema = _schema(rows, 'ingest.measured("1", 0, 1000, "progression", role="target")', more)
    split = {"by": "time", "gap": 3}
    return Table(
        rows,
        schema,
        "def both(x2, x3):\n    return x2 + x3",
        {"split": split, "training": {"stopping": "portfolio"}},
    )


def count() -> Table:
    """A Poisson sample of 600 rows, with weights."""
    rng = np.random.default_rng(3)
    inputs = rng.normal(size=(600, 4))
    answer = rng.poisson(np.exp(0.5 * inputs[:, 0] + 0.3 * inputs[:, 1]))
    rows = pd.DataFrame(inputs, columns=[f"x{number}" for number in range(4)]).assign(answer=answer)
    rows["counts"] = rng.integers(1, 4, 600)
    more = '    "counts": ingest.measured("1", 0, 10, "how much the row counts", role="weight"),'
    schema = _schema(rows, 'ingest.measured("1", 0, 1000, "events", role="target")', more)
    return Table(
        rows, schema, "def product(x0, x1):\n    return x0 * x1", {"training": {"stopping": "joint"}}
    )


def ranking() -> Table:
    """A sample of 60 queries with ten candidates each."""
    rng = np.random.default_rng(4)
    inputs = rng.normal(size=(600, 4))
    relevance = np.clip(np.round(inputs[:, 0] + 0.5 * inputs[:, 1] + rng.normal(scale=0.5, size=600)), 0, 3)
    rows = pd.DataFrame(inputs, columns=[f"x{number}" for number in range(4)]).assign(answer=relevance)
    rows["asked"] = [f"q{number // 10}" for number in range(600)]
    more = '    "asked": ingest.text("query", "who asked"),'
    schema = _schema(rows, 'ingest.measured("1", 0, 3, "relevance", role="target")', more)
    return Table(rows, schema, "def distance(x0, x1):\n    return x0 - x1", {})


TABLES = {
    "binary": binary,
    "multiclass": multiclass,
    "regression": regression,
    "count": count,
    "ranking": ranking,
}


def _notebook(path: Path, title: str, module: str, *cells: str) -> None:
    """Write a stage notebook: a title, its module, parameters, and the other cells."""
    parameters = f'case = "{path.parent.name}"\nenv = None\nparams = {{}}'
    made = notebooks.notebook(
        ("title", "markdown", f"# {title}\n\n> {title}."),
        ("default-exp", "code", f"#| default_exp {module}"),
        ("parameters", "code", parameters),
        *((f"cell-{number}", "code", source) for number, source in enumerate(cells)),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(made, encoding="utf-8")


def write(folder: Path, names: list[str] | None = None) -> Path:
    """Write a project with a case for each of the tasks; returns its folder."""
    new.stamp(folder, PACKAGE, example=False)
    for name in names or TABLES:
        table = TABLES[name]()
        table.rows.assign(number=range(len(table.rows))).to_csv(folder / "data" / f"{name}.csv", index=False)
        mapping = {column: column for column in [*table.rows, "number"]}
        parameters = {
            name: {
                "task": name,
                "files": [f"data/{name}.csv"],
                "column_mapping": {"csv": mapping},
                **table.parameters,
                "evaluation": {"folds": 3, "bootstrap": 20},
                "training": {"rounds": 40, "early_stopping": 10, **table.parameters.get("training", {})},
                "explanation": {"dependence": 1},
                "release": {"golden": 20},
            }
        }
        (folder / "conf" / "base" / f"parameters_{name}.yml").write_text(json.dumps(parameters))
        cases = folder / "notebooks" / name
        export = "#| export\n"
        _notebook(
            cases / "01_data.ipynb",
            f"Data of {name}",
            f"{name}.data",
            f"{export}import pandera.pandas as pa\nfrom kedro.pipeline import Pipeline\n\nfrom hardcover import ingest",
            "from hardcover import Case",
            f'{export}SCHEMA = pa.DataFrameSchema({table.schema}, name="{name}")',
            f"{export}def create_pipeline() -> Pipeline:\n    return ingest.create_pipeline(SCHEMA)",
            "Case(case, env=env, params=params).run(create_pipeline())",
        )
        _notebook(
            cases / "02_features.ipynb",
            f"Features of {name}",
            f"{name}.features",
            f"{export}{table.feature}",
            "import __main__\nfrom hardcover import Case\nfrom hardcover.modelling import features",
            "Case(case, env=env, params=params).run(features.create_pipeline(__main__))",
        )
    return folder


def surroundings(folder: Path) -> dict:
    """Return the options of a `Place` by which a command works in a project, which keeps what it makes."""
    own = {
        "HARDCOVER_PROJECT": str(folder),
        "PYTHONPATH": str(folder / "src"),
        "HARDCOVER_RUN_PROVE": "yes",
        "PATH": f"{BIN}:/usr/bin:/bin",
    }
    return {"cwd": folder, "env": own}


def call(folder: Path, *command: str, check: bool = True) -> subprocess.CompletedProcess:
    """Run a command of the environment in a project."""
    return Place(folder).call(*command, check=check, **surroundings(folder))
