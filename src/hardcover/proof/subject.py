"""What is proven, and the rows on which every face must answer alike."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hardcover.forest import edge_rows, flatten, lightgbm_text
from hardcover.lineage import run_records
from hardcover.release import events, stage
from hardcover.runtime.confidence import Calibration
from hardcover.tasks.base import scores_of

# So many rows are explained, or fewer whose trees are so many in all: plain Python takes some 60 µs for each tree.
EXPLAINED, EXPLAINED_TREES = 200, 100_000
FILE = "subject.json"
# LightGBM's texts of the model and of the one that knows how unlike an input is, and the tables of how sure an answer is.
MODELS = ("model", "anomaly_model", "calibration")


class Subject(NamedTuple):
    """What is proven, and on which rows.

    Attributes
    ----------
    case, env, params
        The case, its Kedro environment, and the parameters that its model was made with.
    folder
        A scratch folder of the face's own.
    columns
        Raw rows: lists by field, None where a value is missing, times as text.
    events
        Where windows look at what happened: all clean rows, as lists by field in order of arrival; else None.
    inputs
        Rows of model inputs, for what no raw row can reach.
    explained
        Which of all rows, raw ones first, are explained.
    texts
        The fields that are text.
    schema, plan, models, bins, decision, wheel
        Of the version that is proven: JSON Schema, feature plan, what answers (the datasets of ``MODELS``), names and edges of the profile's bins,
        what follows from a score, the wheel's bytes.
    features_module, libraries
        The exported module of the features, and what they may use besides the standard library.
    """

    case: str
    env: str | None
    params: dict | None
    folder: Path
    columns: dict[str, list]
    events: dict[str, list] | None
    inputs: list[list[float]]
    explained: list[int]
    texts: list[str]
    schema: dict
    plan: dict
    models: dict
    bins: list
    decision: dict
    wheel: bytes
    features_module: str
    libraries: list[str]

    @property
    def calibration(self) -> Calibration:
        """How sure answers are."""
        return Calibration(self.models["calibration"], self.decision.get("classes", []))

    def write(self) -> None:
        """Write it into its folder, without the wheel, for another process."""
        facts = self._asdict() | {"folder": str(self.folder), "wheel": ""}
        (self.folder / FILE).write_text(json.dumps(facts), encoding="utf-8")


def read(folder: Path) -> Subject:
    """Read what ``Subject.write`` wrote."""
    facts = json.loads((folder / FILE).read_text(encoding="utf-8"))
    return Subject(**{**facts, "folder": folder, "wheel": b""})


def session_of(case: str) -> dict:
    """Find the latest session that gave the case's model: its parameters are those to run with again."""
    for run in run_records.runs():
        for session in reversed(run_records.read(run)["sessions"]):
            if f"{case}.model" in session["outputs"]:
                return session
    return {}


def load(
    case: str, catalog: Any, session: dict, env: str | None, rows: int, seed: int, folder: Path
) -> tuple[Subject, dict]:
    """Read what is to be proven; returns it with the features and scores that training saved for the holdout.

    Parameters
    ----------
    case, catalog
        The case, and the catalog that has its newest versions.
    session, env
        As ``session_of`` returns it, and the environment that was asked for.
    rows, seed
        How many raw rows are generated besides the holdout, and from which seed.
    folder
        For the faces' scratch folders.
    """

    def of_case(name: str) -> Any:
        return catalog.load(f"{case}.{name}")

    schema, plan, models = (
        of_case("schema"),
        of_case("feature_plan"),
        {name: of_case(name) for name in MODELS},
    )
    clean, predictions, features = of_case("clean"), of_case("predictions"), of_case("features")
    decision = of_case("metrics")["decision"]
    trees = lightgbm_text.parse(models["model"])
    forest = flatten.forest_of(trees)
    holdout = clean[clean["split"] == "holdout"]
    texts = [name for name, rule in schema["properties"].items() if "enum" in rule]
    made = edge_rows.columns(schema, texts, plan["inputs"], forest, rows, seed)
    columns = {name: [*events.plain(holdout[name]), *values] for name, values in made.items()}
    if fields := events.fields_beside(plan):
        # Made rows are asked about at some moment and entity of the holdout.
        real = np.random.default_rng(seed).integers(0, len(holdout), rows)
        columns |= {
            name: [*given, *(given[number] for number in real)]
            for name in fields
            for given in [events.plain(holdout[name])]
            if name not in made
        }
    inputs = edge_rows.inputs(forest, rows, seed).tolist()
    total = len(holdout) + rows + len(inputs)
    explained = max(20, min(EXPLAINED, EXPLAINED_TREES // forest.trees))
    subject = Subject(
        case=case,
        env=env or session.get("env"),
        params=session.get("params"),
        folder=folder,
        columns=columns,
        events=events.observed(clean, plan),
        inputs=inputs,
        explained=list(range(0, total, max(1, total // explained))),
        texts=texts,
        schema=schema,
        plan=plan,
        models=models,
        bins=[*stage.reference_profile(trees, features, plan, predictions, decision).bins],
        decision=decision,
        wheel=of_case("wheel"),
        features_module=catalog.load(f"params:{case}.features_module"),
        libraries=catalog.load(f"params:{case}.features")["libraries"],
    )
    kept = features[features["split"] == "holdout"]
    names, scores = decision.get("classes") or ["score"], scores_of(predictions)
    saved = {
        "features": {name: kept[name].astype(float).tolist() for name in plan["inputs"]},
        "score": dict(zip(names, scores.reshape(len(kept), -1).T.tolist(), strict=True)),
    }
    return subject, saved
