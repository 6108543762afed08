"""The release stage: build the wheel, and check it bit by bit where nothing else is installed."""

import importlib
import json
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import lightgbm as lgb
import numpy as np
import pandas as pd
from kedro.pipeline import Pipeline

from hardcover import settings
from hardcover.errors import ReleaseError
from hardcover.forest import edge_rows, flatten, lightgbm_text
from hardcover.forest.profile import profile_of
from hardcover.incremental import fingerprint, stages
from hardcover.incremental.stages import Step
from hardcover.release import events, isolated_env, wheel, wheel_file
from hardcover.release.isolated_env import RELATIVE_TOLERANCE
from hardcover.runtime import features as features_runtime
from hardcover.runtime import lookups, windows
from hardcover.runtime.files import ANOMALY, CALIBRATION, MODEL, PROFILE
from hardcover.runtime.profile import Profile
from hardcover.tasks.base import score_columns, scores_of

ROWS, EXPLAINED = 10_000, 100


def package_name(name: str) -> str:
    """Return the name that a case's wheel is imported by, from the project's package and the case."""
    return f"{settings.package_name()}_{name}"


def exported_features(features_module: str, feature_plan: dict) -> ModuleType:
    """Import the exported features module.

    Raises
    ------
    ReleaseError
        When its functions are not those that computed the training features.
    """
    module = importlib.import_module(features_module)
    functions = features_runtime.discover(module)
    ours = {name: fingerprint.code_of(function).hash for name, function in functions.items()}
    trained = {name: facts["code"] for name, facts in feature_plan["functions"].items()}
    ours |= {name: str(window) for name, window in windows.discover(module).items()}
    trained |= feature_plan.get("windows", {})
    ours |= {name: str(lookup) for name, lookup in lookups.discover(module).items()}
    trained |= feature_plan.get("lookups", {})
    differing = sorted(name for name in ours.keys() | trained.keys() if ours.get(name) != trained.get(name))
    if differing:
        raise ReleaseError(
            f"the exported features {', '.join(differing)} are not those that the model was trained on",
            f"module {features_module}",
            "Export the notebooks (nbdev-export) and run the features and train stages again.",
        )
    return module


def golden_rows(
    clean: pd.DataFrame,
    schema: dict,
    predictions: pd.DataFrame,
    count: int,
    plan: dict,
    module: ModuleType,
) -> list[dict]:
    """Return raw records of the holdout, evenly spread over the scores, with their scores as hexadecimal floats.

    Where the features have windows, also with what these hold.
    """
    raw = clean[clean["split"] == "holdout"].reset_index(drop=True)
    scores = scores_of(predictions).reshape(len(raw), -1)
    order = scores[:, -1].argsort(kind="stable")
    chosen = order[np.unique(np.linspace(0, len(order) - 1, min(count, len(order))).astype(int))]
    fields = events.schema_with_fields(schema, plan)["properties"]
    records = events.records({name: events.plain(raw[name].iloc[chosen]) for name in fields})
    found = [
        {"record": record, "scores": [float(score).hex() for score in row]}
        for record, row in zip(records, scores[chosen], strict=True)
    ]
    past = events.past_of(raw.iloc[chosen], clean, module, schema, plan)
    for row, held in zip(found, past or [], strict=False):
        row["windows"] = {
            name: [each.hex() for each in value] if isinstance(value, tuple) else value.hex()
            for name, value in held.items()
        }
    return found


def release_manifest(
    name: str, source: dict, feature_plan: dict, metrics: dict, compression: dict, calibration: dict
) -> dict:
    """Return what a release is made of, for ``model.about``."""
    libraries = {library: version(library) for library in ("lightgbm", "numpy", "hardcover")}
    kept = ("task", "primary", "holdout", "interval", "cross_validation")
    return {
        "case": name,
        "source": {key: source[key] for key in ("kind", "description", "files")},
        "inputs": feature_plan["inputs"],
        "decision": metrics["decision"],
        "metrics": {key: metrics[key] for key in kept},
        "compression": compression,
        "confidence": {"level": calibration["level"], **calibration["measured"]},
        "libraries": libraries,
    }


def reference_profile(
    trees: lightgbm_text.Trees,
    features: pd.DataFrame,
    feature_plan: dict,
    predictions: pd.DataFrame,
    decision: dict,
) -> Profile:
    """Return how the inputs and scores of the holdout lie in bins."""
    names = feature_plan["inputs"]
    inputs = features.loc[features["split"] == "holdout", names].to_numpy(dtype=np.float64)
    outputs = score_columns(decision.get("classes", []))
    return profile_of(trees, names, inputs, scores_of(predictions), outputs)


def build_wheel(
    name: str,
    features_module: str,
    release: dict,
    clean: pd.DataFrame,
    schema: dict,
    source: dict,
    feature_plan: dict,
    features: pd.DataFrame,
    model: str,
    predictions: pd.DataFrame,
    metrics: dict,
    compression_report: dict,
    anomaly_model: str,
    calibration: dict,
) -> bytes:
    """Build the case's inference wheel; the same inputs give the same bytes.

    Raises
    ------
    ReleaseError
        When the exported features are not those of the training, or the build fails.
    """
    module = exported_features(features_module, feature_plan)
    golden = golden_rows(clean, schema, predictions, release["golden"], feature_plan, module)
    trees = lightgbm_text.parse(model)
    files = {
        MODEL: flatten.to_bytes(trees),
        ANOMALY: flatten.to_bytes(lightgbm_text.parse(anomaly_model)),
        CALIBRATION: json.dumps(calibration).encode(),
        PROFILE: reference_profile(trees, features, feature_plan, predictions, metrics["decision"]).content(),
        "schema.json": json.dumps(events.schema_with_fields(schema, feature_plan), indent=1).encode(),
        "golden.json": json.dumps({"rows": golden}, indent=1).encode(),
    }
    if feature_plan.get("tables"):
        files[lookups.FILE] = json.dumps(feature_plan["tables"]).encode()
    manifest = release_manifest(name, source, feature_plan, metrics, compression_report, calibration)
    return wheel.build(package_name(name), name, release["version"], module, files, manifest)


def differing_bits(ours: list, theirs: np.ndarray) -> int:
    """Count the scores that differ in any bit; NaN is one value."""
    mine = np.array(ours, dtype=np.float64).ravel()
    return int(((mine != theirs.ravel()) & ~(np.isnan(mine) & np.isnan(theirs.ravel()))).sum())


def check_wheel(
    wheel: bytes, clean: pd.DataFrame, schema: dict, feature_plan: dict, predictions: pd.DataFrame, model: str
) -> dict:
    """Check the wheel in an environment of its own, on the holdout and on edge rows, and some contributions.

    Not pure: it installs into a temporary environment.

    Raises
    ------
    ReleaseError
        When any bit differs.
    """
    booster, name = lgb.Booster(model_str=model), wheel_file.file_name(wheel)
    inputs = edge_rows.inputs(flatten.forest_of(lightgbm_text.parse(model)), ROWS, seed=1)
    raw = clean[clean["split"] == "holdout"]
    holdout = len(raw)
    explained = list(range(holdout, holdout + min(EXPLAINED, len(inputs))))
    rows = {
        "columns": {
            field: events.plain(raw[field])
            for field in events.schema_with_fields(schema, feature_plan)["properties"]
        },
        "events": events.observed(clean, feature_plan),
        "texts": [field for field, rule in schema["properties"].items() if "enum" in rule],
        "inputs": inputs.tolist(),
        "explained": explained,
    }
    with tempfile.TemporaryDirectory(prefix="hardcover-fresh-") as scratch:
        folder = Path(scratch)
        python = isolated_env.install(wheel, folder, f"numpy=={np.__version__}")
        answer = isolated_env.answers(python, wheel, json.dumps(rows), "numpy", folder)
    score = np.array(list(answer["score"].values())).T
    wrong = differing_bits(score[:holdout].tolist(), scores_of(predictions))
    edges = differing_bits(score[holdout:].tolist(), np.asarray(booster.predict(inputs)))
    error, largest = 0.0, 1.0
    if answer["contributions"]:
        expected = np.asarray(booster.predict(inputs[: len(explained)], pred_contrib=True))
        error = float(np.abs(np.array(answer["contributions"]).reshape(expected.shape) - expected).max())
        largest = float(np.abs(expected).max())
    if wrong or edges or answer["differences"] or error > RELATIVE_TOLERANCE * largest:
        what = f"{wrong} of {holdout} holdout rows and {edges} edge rows differ in bits"
        what += f", contributions by {error:.2g}"
        raise ReleaseError(what, name, "Report it with the model file; the wheel was not released.")
    facts = {key: answer[key] for key in ("golden", "python", "numpy", "evaluator")}
    # What a service needs in memory: of all events of the case.
    facts |= {"histories": answer["histories"]} if answer["histories"] else {}
    facts |= {"rows": holdout, "differing_bits": wrong, "edge_rows": len(inputs)}
    return {"wheel": name, "bytes": len(wheel), "largest_contribution_error": error, **facts}


def create_pipeline(*, build: Callable = build_wheel, check: Callable = check_wheel) -> Pipeline:
    """Return the release stage's pipeline: from ``model``, ``clean`` and ``schema`` to ``wheel``.

    Parameters
    ----------
    build, check
        A project may give functions of its own. Their parameters name what they read: datasets, else parameters of the case.
    """
    return stages.make("release", [Step("build", build, "wheel"), Step("check", check, "release_report")])
