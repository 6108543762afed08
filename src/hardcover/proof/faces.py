"""The faces of a case, each made to answer the same rows: notebook, module, pipeline, wheel.

A face is a function that takes a ``Subject`` and returns ``answers``. Another distribution adds one by an entry point of the
group ``hardcover.faces``.

Rows and answers travel between processes as JSON, in which Python writes each float so that it reads back the same.
NaN is one value here, whatever its payload.
"""

import json
import os
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd

from hardcover import processes, settings
from hardcover.errors import ProofFailed
from hardcover.modelling import features
from hardcover.notebooks import executor, forkserver
from hardcover.project import cases, pipelines, session
from hardcover.project.context import open_context
from hardcover.proof import service_faces, wheel_faces
from hardcover.proof import subject as subjects
from hardcover.proof.subject import MODELS, Subject
from hardcover.release.in_wheel import confidence_of_arrays
from hardcover.runtime import lookups, windows
from hardcover.runtime.confidence import Calibration
from hardcover.runtime.profile import Bins, Profile
from hardcover.store import disk, versions
from hardcover.tasks.base import decided
from hardcover.tracking import server

ANSWERS, FEATURES = "answers.json", "features.parquet"
CELL = """
import __main__
from hardcover.proof import faces
faces.write_features(__main__, {folder!r})
"""

# Those that take longest first.
OF_THE_PROJECT = ("notebook", "pipeline", "module")


def known() -> dict[str, Callable[[Subject], dict]]:
    """Return all faces by name, those of other distributions last."""
    found: dict[str, Callable] = {
        "notebook": notebook,
        "module": module,
        "pipeline": pipeline,
        "wheel": wheel_faces.wheel,
        "wheel without numpy": wheel_faces.wheel_without_numpy,
        "wheel without kernel": wheel_faces.wheel_without_kernel,
        "wheel on SQLite": wheel_faces.wheel_on_sqlite,
        "wheel on Valkey": wheel_faces.wheel_on_valkey,
        "service JSON": service_faces.by_json,
        "service Arrow": service_faces.by_arrow,
        "service OIP JSON": service_faces.by_tensors,
        "service OIP binary": service_faces.by_binary_tensors,
        "service gRPC": service_faces.by_grpc,
    }
    return found | {point.name: point.load() for point in entry_points(group="hardcover.faces")}


def answers(table: pd.DataFrame, subject: Subject, models: dict) -> dict:
    """Score rows with LightGBM itself.

    Parameters
    ----------
    table
        The model's inputs for the raw rows.
    subject
        Has the other rows and the decision.
    models
        What answers: the datasets of ``subject.MODELS``.

    Returns
    -------
    dict
        Columns by name: ``features``; ``raw`` and ``score`` for the raw rows, then for the rows of inputs, by output; ``label`` as
        numbers, where something is decided; ``confidence``, where something is known, and ``anomaly``. ``profile``, the counts of the raw rows in
        bins. And ``pred_contrib``, LightGBM's own
        Shapley values of the explained rows.
    """
    booster = lgb.Booster(model_str=models["model"])
    names = booster.feature_name()
    rows = np.concatenate(
        [table[names].to_numpy(np.float64), np.array(subject.inputs).reshape(-1, len(names))]
    )
    score = booster.predict(rows)
    raw = booster.predict(rows, raw_score=True)
    label = decided(score, subject.decision)
    unlike = lgb.Booster(model_str=models["anomaly_model"]).predict(rows)
    calibration = Calibration(models["calibration"], subject.decision.get("classes", []))
    # LightGBM has no contributions of linear trees, either.
    linear = "linear_tree: 1" in models["model"]
    contributions = [] if linear else booster.predict(rows[subject.explained], pred_contrib=True).tolist()
    return {
        "features": {name: table[name].astype(float).tolist() for name in names},
        "raw": by_output(raw, subject.decision),
        "score": by_output(score, subject.decision),
        "label": {"label": label.tolist()} if len(label) else {},
        "confidence": confidence_of_arrays(calibration, score),
        "anomaly": {"anomaly": calibration.p_values(unlike).tolist()},
        "profile": Profile.of(Bins(*subject.bins), rows[: len(table)], score[: len(table)]).by_name,
        "pred_contrib": contributions,
    }


def by_output(values: np.ndarray, decision: dict) -> dict[str, list[float]]:
    """Return a list for each output: of one ``score``, of several by class."""
    names = decision.get("classes") or ["score"]
    return dict(zip(names, values.reshape(len(values), -1).T.tolist(), strict=True))


def _frame(subject: Subject, columns: dict[str, list]) -> pd.DataFrame:
    """Return lists by field as a table, as the data stage would have it."""
    kinds = {name: facts["kind"] for name, facts in subject.schema["x-columns"].items()}
    dtypes = {"number": "float64", "text": "str", "time": "datetime64[us]"}
    return pd.DataFrame(
        {name: pd.Series(values, dtype=dtypes[kinds[name]]) for name, values in columns.items()}
    )


def _rows(subject: Subject) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Return the raw rows, and the events that their windows look at, if any do."""
    rows = _frame(subject, subject.columns)
    if not subject.events:
        return rows, None
    # What no window looks at is missing in an event.
    events = _frame(subject, subject.events).reindex(columns=[*{**subject.columns, **subject.events}])
    return rows.reindex(columns=events.columns), events


def write_features(module: Any, folder: str) -> None:
    """Compute the subject's features with a module's functions and write them; the notebook's last cell calls it."""
    subject = subjects.read(Path(folder))
    rows, events = _rows(subject)
    table, _ = features.table_of(
        rows,
        subject.schema,
        features.discover(module),
        subject.libraries,
        windows.discover(module),
        events,
        lookups.discover(module),
        subject.plan["tables"],
    )
    table[subject.plan["inputs"]].to_parquet(Path(folder) / FEATURES)


def _features(subject: Subject) -> pd.DataFrame:
    return pd.read_parquet(subject.folder / FEATURES)


def notebook(subject: Subject) -> dict:
    """Execute the notebooks of features and model by papermill on copies of the versions; unchanged, nothing is trained."""
    _copy_newest(subject.case, subject.folder / "data")
    return _in_fresh_process("notebook", subject)


def _notebook(subject: Subject) -> dict:
    mine = (subject.params or {}).get(subject.case)
    parameters = {"case": subject.case, "env": subject.env, "params": mine}
    given = subject.folder / "notebooks"
    given.mkdir()
    with forkserver.warm():
        for stage in _stages_giving(subject, "features", "model"):
            source = json.loads(stage.notebook.read_text(encoding="utf-8"))
            if stage.module == subject.features_module:
                source["cells"].append(_cell(CELL.format(folder=str(subject.folder))))
            path = given / stage.notebook.name
            path.write_text(json.dumps(source), encoding="utf-8")
            copy = subject.folder / "executed" / stage.notebook.name
            executor.execute(path, copy, parameters, stage.name, lambda *_: None)
    return answers(_features(subject), subject, {name: _newest(subject, name) for name in MODELS})


def _cell(source: str) -> dict:
    return {
        "cell_type": "code",
        "id": "proof",
        "metadata": {},
        "outputs": [],
        "execution_count": None,
        "source": source,
    }


def module(subject: Subject) -> dict:
    """Import the exported features module in a fresh process, and score with the released model."""
    return _in_fresh_process("module", subject)


def _module(subject: Subject) -> dict:
    write_features(import_module(subject.features_module), str(subject.folder))
    return answers(_features(subject), subject, subject.models)


def pipeline(subject: Subject) -> dict:
    """Run the pipeline up to the model in a fresh process and a fresh data folder, with the recorded parameters."""
    return _in_fresh_process("pipeline", subject)


def _pipeline(subject: Subject) -> dict:
    from kedro.framework.session import KedroSession
    from kedro.framework.startup import bootstrap_project

    # The proof is there to find what was not exported, so it must not be refused.
    session.FACE.set("proof")
    bootstrap_project(settings.project_root())
    wanted = [f"{subject.case}.{name}" for name in (*MODELS, "features", "feature_plan", "schema")]
    with KedroSession.create(
        settings.project_root(), env=subject.env, runtime_params=subject.params, save_on_close=False
    ) as kedro_session:
        kedro_session.run(pipeline_names=[subject.case], to_outputs=wanted)
    (stage,) = _stages_giving(subject, "features")
    nodes = pipelines.of_stage(stage, subject.case).nodes
    (compute,) = (node.func for node in nodes if f"{subject.case}.features" in node.outputs)
    rows, events = _rows(subject)
    given = {"lookups": _newest(subject, "lookups")} if subject.plan["lookups"] else {}
    table, _ = compute(
        rows, _newest(subject, "schema"), {"libraries": subject.libraries}, events=events, **given
    )
    return answers(table, subject, {name: _newest(subject, name) for name in MODELS})


def _in_fresh_process(name: str, subject: Subject) -> dict:
    subject.write()
    mine = {"HARDCOVER_PROJECT": str(settings.project_root()), **settings.apart(subject.folder)}
    server.copy_tables(subject.folder / "mlflow.db")
    log = subject.folder / "log.txt"
    forkserver.call(__name__, [name, str(subject.folder)], {**os.environ, **mine}, Path.cwd(), log)
    given = subject.folder / ANSWERS
    if not given.exists():
        raise processes.failed(
            f"run the {name}", log.read_text(errors="replace"), f"face {name}", ProofFailed
        )
    return json.loads(given.read_text(encoding="utf-8"))


def _stages_giving(subject: Subject, *names: str) -> Iterator[cases.Stage]:
    wanted = {f"{subject.case}.{name}" for name in names}
    for stage in cases.stages(subject.case):
        if pipelines.of_stage(stage, subject.case).all_outputs() & wanted:
            yield stage


def _copy_newest(case: str, root: Path) -> None:
    source = Path(settings.read("data.root"))
    for name, dataset in versions.by_dataset(source).items():
        newest = versions.latest(dataset)
        if newest and name.partition(".")[0] == case:
            for path in (path for path in (dataset / newest).rglob("*") if path.is_file()):
                to = root / path.relative_to(source)
                to.parent.mkdir(parents=True, exist_ok=True)
                disk.link(path, to)


def _newest(subject: Subject, name: str) -> Any:
    """Load what this process made last of a dataset."""
    return open_context(subject.env, subject.params).catalog.load(f"{subject.case}.{name}")


def main(name: str, folder: str) -> None:
    """Let a face answer what stands in a folder, and write the answers there: the whole of a process that was forked for it."""
    # The project's package may not be installed.
    settings.make_importable()
    found = {"notebook": _notebook, "module": _module, "pipeline": _pipeline}[name](
        subjects.read(Path(folder))
    )
    disk.write_atomically(Path(folder) / ANSWERS, json.dumps(found).encode())
