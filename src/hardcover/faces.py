"""The faces of a case, each made to answer the same rows: notebook, module, pipeline, wheel.

A face is a function that takes a ``Subject`` and gives ``answers``. Another distribution adds one by an entry point of the
group ``hardcover.faces``.

Rows and answers travel between processes as JSON, in which Python writes each float so that it reads back the same.
NaN is one value here, whatever its payload.
"""

import json
import os
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, NamedTuple

from hardcover import elsewhere, storage
from hardcover import wheel as wheels

ANSWERS, FEATURES = "answers.json", "features.parquet"
CELL = """
import __main__
from hardcover import faces
faces.write_features(__main__, {folder!r})
"""
PROGRAM = "programs/answer_rows.py"


class Subject(NamedTuple):
    """What is proven, and on which rows.

    Attributes
    ----------
    case, env, params
        The case, its Kedro environment, and the parameters that its model was made with.
    folder
        A scratch folder of the face's own.
    columns
        Raw rows: lists by field, None where a value is missing.
    inputs
        Rows of model inputs, for what no raw row can reach.
    explained
        Which of all rows, raw ones first, are explained.
    texts
        The fields that are text.
    schema, plan, model, threshold, wheel
        Of the version that is proven: JSON Schema, feature plan, LightGBM's text, and the wheel's bytes.
    features_module, libraries, package
        The exported module of the features, what they may use besides the standard library, and the package of the cases.
    """

    case: str
    env: str | None
    params: dict | None
    folder: Path
    columns: dict[str, list]
    inputs: list[list[float]]
    explained: list[int]
    texts: list[str]
    schema: dict
    plan: dict
    model: str
    threshold: float
    wheel: bytes
    features_module: str
    libraries: list[str]
    package: str


def known() -> dict[str, Callable[[Subject], dict]]:
    """Give all faces by name, those of other distributions last."""
    found: dict[str, Callable] = {
        "notebook": notebook,
        "module": module,
        "pipeline": pipeline,
        "wheel": wheel,
        "wheel without numpy": wheel_without_numpy,
        "wheel without kernel": wheel_without_kernel,
    }
    return found | {point.name: point.load() for point in entry_points(group="hardcover.faces")}


def answers(table: Any, subject: Subject, model: str) -> dict:
    """Score rows with LightGBM itself.

    Parameters
    ----------
    table
        The model's inputs for the raw rows, a DataFrame.
    subject
        Gives the other rows and the threshold.
    model
        LightGBM's text model.

    Returns
    -------
    dict
        ``features``, lists by name; ``raw``, ``score``, ``label`` for the raw rows, then for the rows of inputs; and
        ``pred_contrib``, LightGBM's own Shapley values of the explained rows.
    """
    import lightgbm as lgb
    import numpy as np

    booster = lgb.Booster(model_str=model)
    names = booster.feature_name()
    rows = np.concatenate(
        [table[names].to_numpy(np.float64), np.array(subject.inputs).reshape(-1, len(names))]
    )
    score = booster.predict(rows)
    # LightGBM has none for linear trees, either.
    linear = "linear_tree: 1" in model
    reasons = [] if linear else booster.predict(rows[subject.explained], pred_contrib=True).tolist()
    return {
        "features": {name: table[name].astype(float).tolist() for name in names},
        "raw": booster.predict(rows, raw_score=True).tolist(),
        "score": score.tolist(),
        "label": (score >= subject.threshold).tolist(),
        "pred_contrib": reasons,
    }


def _frame(columns: dict[str, list], texts: list[str], target: str):
    import pandas as pd

    count = len(next(iter(columns.values())))
    frame = pd.DataFrame(
        {name: pd.Series(values, dtype="str" if name in texts else float) for name, values in columns.items()}
    )
    return frame.assign(record=[str(row) for row in range(count)], split="holdout", **{target: 0})


def _write(subject: Subject) -> None:
    facts = subject._asdict() | {"folder": str(subject.folder), "wheel": None}
    (subject.folder / "subject.json").write_text(json.dumps(facts), encoding="utf-8")


def _read(folder: Path) -> Subject:
    return Subject(**json.loads((folder / "subject.json").read_text(encoding="utf-8")))._replace(
        folder=folder
    )


def write_features(module: Any, folder: str) -> None:
    """Compute the subject's features with a module's functions and write them; the notebook's last cell calls it."""
    from hardcover import features

    subject = _read(Path(folder))
    frame = _frame(subject.columns, subject.texts, subject.schema["x-target"])
    table, _ = features.table_of(frame, subject.schema, features.discover(module), subject.libraries)
    table[subject.plan["inputs"]].to_parquet(Path(folder) / FEATURES)


def _features(subject: Subject):
    import pandas as pd

    return pd.read_parquet(subject.folder / FEATURES)


def notebook(subject: Subject) -> dict:
    """Execute the notebooks of features and model by papermill on copies of the versions; unchanged, nothing is trained."""
    _copy_newest(subject.case, subject.folder / "data")
    return _in_fresh_process("notebook", subject)


def _notebook(subject: Subject) -> dict:
    from hardcover import kernels, notebooks, settings

    parameters = {
        "case": subject.case,
        "env": subject.env,
        "params": (subject.params or {}).get(subject.case),
    }
    given = subject.folder / "notebooks"
    given.mkdir()
    with kernels.warm():
        for stage in _stages_giving(subject, "features", "model"):
            source = json.loads(stage.notebook.read_text(encoding="utf-8"))
            if stage.module == subject.features_module:
                source["cells"].append(_cell(CELL.format(folder=str(subject.folder))))
            path = given / stage.notebook.name
            path.write_text(json.dumps(source), encoding="utf-8")
            copy = subject.folder / "executed" / stage.notebook.name
            notebooks.execute(path, copy, parameters, stage.name, lambda *_: None)
    model = _newest(Path(settings.read("data.root")), subject.case, "06_models", "model.txt")
    return answers(_features(subject), subject, model.read_text(encoding="utf-8"))


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
    return answers(_features(subject), subject, subject.model)


def pipeline(subject: Subject) -> dict:
    """Run the pipeline up to the model in a fresh process and a fresh data folder, with the recorded parameters."""
    return _in_fresh_process("pipeline", subject)


def _pipeline(subject: Subject) -> dict:
    from kedro.framework.session import KedroSession

    from hardcover import cases, hooks, settings, stage

    # The proof is there to find what was not exported, so it must not be refused.
    hooks.FACE.set("proof")
    stage.bootstrap_project(settings.project_root())
    wanted = [f"{subject.case}.{name}" for name in ("model", "features", "feature_plan", "schema")]
    with KedroSession.create(
        settings.project_root(), env=subject.env, runtime_params=subject.params, save_on_close=False
    ) as session:
        session.run(pipeline_names=[subject.case], to_outputs=wanted)
    nodes = cases.pipelines(subject.package)[subject.case].nodes
    (compute,) = (node.func for node in nodes if f"{subject.case}.features" in node.outputs)
    root = Path(settings.read("data.root"))
    schema = json.loads(_newest(root, subject.case, "03_primary", "schema.json").read_text(encoding="utf-8"))
    chosen = {"libraries": subject.libraries}
    table, _ = compute(_frame(subject.columns, subject.texts, schema["x-target"]), schema, chosen)
    model = _newest(root, subject.case, "06_models", "model.txt").read_text(encoding="utf-8")
    return answers(table, subject, model)


def wheel(subject: Subject) -> dict:
    """Install the wheel and numpy, nothing else, into a fresh environment."""
    import numpy as np

    return _in_wheel(subject, "numpy", f"numpy=={np.__version__}")


def wheel_without_numpy(subject: Subject) -> dict:
    """Install the wheel alone; each row is computed by itself."""
    return _in_wheel(subject, "without numpy")


def wheel_without_kernel(subject: Subject) -> dict:
    """Install the wheel and what its features need; each row is computed by itself, the model evaluated in plain Python."""
    return _in_wheel(subject, "without kernel", *wheels.requirements_of(subject.wheel))


def left_out(wheel: bytes) -> dict[str, str]:
    """Return the faces that a wheel does not have, each with why."""
    why = "its features use numpy"
    return {"wheel without numpy": why} if wheels.requirements_of(wheel) else {}


def _in_wheel(subject: Subject, way: str, *requirements: str) -> dict:
    _write(subject)
    name = wheels.file_name(subject.wheel)
    python = elsewhere.install(subject.wheel, name, subject.folder, *requirements)
    program = str(Path(__file__).parent / PROGRAM)
    command = [python, "-I", program, wheels.package_of(subject.wheel), way]
    elsewhere.call(command, f"score with the wheel ({way})", subject.folder)
    return json.loads((subject.folder / ANSWERS).read_text(encoding="utf-8"))


def _in_fresh_process(name: str, subject: Subject) -> dict:
    _write(subject)
    command = [sys.executable, "-m", "hardcover.faces", name, str(subject.folder)]
    from hardcover import settings

    mine = {"HARDCOVER_PROJECT": str(settings.project_root()), **settings.apart(subject.folder)}
    environment = {**os.environ, **mine}
    elsewhere.call(command, f"run the {name}", Path.cwd(), env=environment)
    return json.loads((subject.folder / ANSWERS).read_text(encoding="utf-8"))


def _stages_giving(subject: Subject, *names: str):
    from hardcover import cases

    wanted = {f"{subject.case}.{name}" for name in names}
    for stage in cases.stages(subject.case, subject.package):
        if cases.stage_pipeline(stage, subject.case).all_outputs() & wanted:
            yield stage


def _copy_newest(case: str, root: Path) -> None:
    from hardcover import settings, versions

    source = Path(settings.read("data.root"))
    for dataset in versions.datasets(source):
        newest = versions.latest(dataset)
        if newest and dataset.parent.name == case:
            for path in (path for path in (dataset / newest).rglob("*") if path.is_file()):
                to = root / path.relative_to(source)
                to.parent.mkdir(parents=True, exist_ok=True)
                storage.link(path, to)


def _newest(root: Path, case: str, layer: str, name: str) -> Path:
    from hardcover import versions

    dataset = root / layer / case / name
    return dataset / (versions.latest(dataset) or "") / name


if __name__ == "__main__":
    found = {"notebook": _notebook, "module": _module, "pipeline": _pipeline}[sys.argv[1]](
        _read(Path(sys.argv[2]))
    )
    (Path(sys.argv[2]) / ANSWERS).write_text(json.dumps(found), encoding="utf-8")
