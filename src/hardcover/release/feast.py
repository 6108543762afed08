"""A case's features as a repository of Feast, for teams that run it (https://docs.feast.dev/reference/feature-repository)."""

import json
import tempfile
from pathlib import Path
from types import ModuleType

import pandas as pd

from hardcover.errors import HardcoverError, StorageError
from hardcover.runtime import windows

STAMP = "event_timestamp"
_STORE = """project: {case}
registry: data/registry.db
provider: local
entity_key_serialization_version: 3
offline_store:
    type: file
online_store:
    type: sqlite
    path: data/online.db
"""
_HEAD = '''"""The features of the case {case} for Feast, as Hardcover computed them: `feast apply` in this folder."""

from datetime import timedelta
from pathlib import Path

from feast import Entity, FeatureService, FeatureView, Field, FileSource
from feast.types import Float64
from feast.value_type import ValueType

DATA = Path(__file__).parent / "data"
'''
_ENTITY = """
{name} = Entity(name={name!r}, join_keys=[{column!r}], value_type=ValueType.STRING)
"""
_VIEW = """
{name} = FeatureView(
    name={name!r},
    entities=[{entities}],
    ttl=timedelta(0),
    schema=[
{fields}
    ],
    source=FileSource(path=str(DATA / "{name}.parquet"), timestamp_field={stamp!r}),
    tags={tags!r},
)
"""


def export(
    case: str,
    clean: pd.DataFrame,
    features: pd.DataFrame,
    plan: dict,
    module: ModuleType,
    folder: Path,
    tags: dict[str, str],
) -> list[str]:
    """Write the definitions and the values of a case's features; the folder is there whole or not at all.

    Windows are a view for each entity that they go by. All other inputs of the model are a view by the row's key.

    Parameters
    ----------
    case
        Becomes the name of the project and of the feature service, which has all views.
    clean, features, plan
        The case's clean rows, in the order of its features, and its feature plan.
    module
        The features module, which says what windows go by.
    folder
        Must not be there yet.
    tags
        Of all views.

    Returns
    -------
    list
        The names of the views.

    Raises
    ------
    StorageError, HardcoverError
        When the folder is there; when the case's rows have no key or no time.
    """
    if folder.exists():
        raise StorageError("it is there already", str(folder), "Name another folder, or remove it.")
    roles, declared = plan["roles"], windows.discover(module)
    if not {"key", "time"} <= roles.keys():
        fix = "Give columns of its schema these roles."
        raise HardcoverError(
            "Feast needs to know which row and when, and no column says so", f"case {case!r}", fix
        )
    stamp = roles.get("received") or roles["time"]
    views: dict[tuple[str, ...], list[str]] = {}
    for name in plan["inputs"]:
        by = declared[name].by if name in declared else (roles["key"],)
        views.setdefault(by, []).append(name)
    source, named = [_HEAD.format(case=case)], {column for by in views for column in by}
    source += [_ENTITY.format(name=f"{column}_entity", column=column) for column in sorted(named)]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as scratch:
        draft = Path(scratch) / folder.name
        (draft / "data").mkdir(parents=True)
        (draft / "feature_store.yaml").write_text(_STORE.format(case=case), encoding="utf-8")
        names = [f"{case}_{'_'.join(by)}" for by in views]
        for view, (by, mine) in zip(names, views.items(), strict=True):
            rows = features[mine].astype("float64").assign(**{column: clean[column] for column in by})
            rows = rows.assign(**{STAMP: clean[stamp].fillna(clean[roles["time"]]).dt.tz_localize("UTC")})
            rows = rows.dropna(subset=[*by, STAMP]).sort_values(STAMP, kind="stable")
            rows.drop_duplicates([*by, STAMP], keep="last").to_parquet(draft / "data" / f"{view}.parquet")
            source.append(
                _VIEW.format(
                    name=view,
                    entities=", ".join(f"{column}_entity" for column in by),
                    fields="\n".join(_field(name, plan) for name in mine),
                    stamp=STAMP,
                    tags={"case": case, **tags},
                )
            )
        source.append(f"\n{case} = FeatureService(name={case!r}, features=[{', '.join(names)}])\n")
        (draft / "definitions.py").write_text("".join(source), encoding="utf-8")
        draft.rename(folder)
    return names


def _field(name: str, plan: dict) -> str:
    function = plan["functions"].get(name, {})
    said = plan["windows"].get(name) or plan["lookups"].get(name) or function.get("description", "")
    tags = {"code": function["code"][:12]} if function else {}
    return f"        Field(name={name!r}, dtype=Float64, description={json.dumps(said)}, tags={tags!r}),"
