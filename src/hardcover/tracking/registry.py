"""The registry of models: challengers, and the champion that is in use."""

from typing import TYPE_CHECKING, Any

from hardcover.tracking.server import client, raise_unless_absent

if TYPE_CHECKING:
    import lightgbm
    import numpy
    import pandas


def log_model(name: str, model: str, inputs: "pandas.DataFrame", score: "numpy.ndarray") -> str:
    """Log a LightGBM model with its signature to the open MLflow run, register it as challenger; returns its version."""
    # MLflow and LightGBM take long to import; who only asks for a version's fate needs neither.
    import lightgbm
    import mlflow.lightgbm
    from mlflow import MlflowClient

    logged = mlflow.lightgbm.log_model(
        lightgbm.Booster(model_str=model),
        name="model",
        signature=mlflow.models.infer_signature(inputs, score),
        registered_model_name=name,
        pip_requirements=[f"lightgbm=={lightgbm.__version__}"],
    )
    version = str(logged.registered_model_version)
    MlflowClient().set_registered_model_alias(name, "challenger", version)
    return version


def champion(name: str) -> "tuple[str | None, lightgbm.Booster | None]":
    """Fetch the champion's version and model from the registry of the open MLflow run; None where there is none."""
    import mlflow.lightgbm
    from mlflow import MlflowClient

    version = MlflowClient().get_registered_model(name).aliases.get("champion")
    model: Any = mlflow.lightgbm.load_model(f"models:/{name}@champion") if version else None
    return None if version is None else str(version), model


def promote(registered: dict, wheel: str, commit: str | None, passed: bool) -> tuple[bool, str]:
    """Tell the registry what was proven; a proven model that beat the champion it was compared with becomes champion.

    Parameters
    ----------
    registered
        The report of the train stage: ``model``, ``version``, ``metric``, how it is written ``short``, ``value``, whether it is ``better``, the champion's
        version that it was compared ``against`` (None: there was none), and the ``decision`` in words.
    wheel, commit
        The wheel's file name, and the commit of its code; the registry shows them with the version.
    passed
        Whether the proof did; if not, nothing is promoted.

    Returns
    -------
    bool, str
        Whether it is promoted, also where this store has no registry that could say otherwise; and the decision in words.
    """
    from mlflow.exceptions import MlflowException

    connection, _ = client()
    name, version = registered["model"], registered["version"]
    result = registered["value"]
    try:
        champion = connection.get_registered_model(name).aliases.get("champion")
        facts = {
            registered["metric"]: f"{result:.4f}",
            "wheel": wheel,
            "git_commit": commit or "none",
            "proof": "passed" if passed else "failed",
        }
        for key, value in facts.items():
            connection.set_model_version_tag(name, version, key, value)
        description = (
            f"{registered['short']} {result:.3f} on the holdout, {wheel}, commit {(commit or 'none')[:8]}"
        )
        connection.update_model_version(name, version, description)
        if not passed:
            return False, "not promoted: its proof failed"
        if not registered.get("better"):
            return False, registered["decision"]
        if str(champion) not in (str(registered.get("against")), version):
            words = f"stays challenger: version {champion} became champion meanwhile"
            return False, f"{words}; run the train stage again"
        connection.set_registered_model_alias(name, "champion", version)
    except MlflowException as error:
        raise_unless_absent(error)
        return True, "this tracking store does not have the version, so its registry was not told"
    return True, f"promoted to champion: {registered['decision']}"


def set_champion(name: str, wheel: str) -> str:
    """Let a model's alias ``champion`` follow a wheel that was promoted or rolled back to; returns what was done, in words."""
    from mlflow.exceptions import MlflowException

    connection, _ = client()
    try:
        found = connection.search_model_versions(f"name = '{name}'")
        mine = [each for each in found if each.tags.get("wheel") == wheel]
        if not mine:
            return "the registry has no version of this wheel"
        version = max(mine, key=lambda each: int(each.version)).version
        connection.set_registered_model_alias(name, "champion", version)
    except MlflowException as error:
        raise_unless_absent(error)
        return "this tracking store does not have the model"
    return f"version {version} is champion in the registry"
