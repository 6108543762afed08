"""``hardcover features``: every feature of every case, what it means, and what uses it."""

import argparse
import importlib
import json
from pathlib import Path
from typing import Any

from hardcover import settings
from hardcover.cli import tables
from hardcover.errors import HardcoverError
from hardcover.project import cases
from hardcover.release import publish
from hardcover.store import versions

PURPOSE = "every feature: meaning, unit, code, cases, freshness, distribution"
DESCRIPTION = "List the features of the newest feature tables: raw inputs, functions, windows and lookups. One that several cases share, with the same code, is one line."
EXAMPLES = """examples:
  hardcover features                       of all cases
  hardcover features fraud --json          of one, with quantiles
  hardcover features fraud --feast feast   as a repository of Feast, with the values so far
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("case", nargs="*", metavar="CASE", help="default: all")
    parser.add_argument(
        "--feast",
        type=Path,
        metavar="FOLDER",
        help="write definitions and values for Feast into a new folder",
    )


def do(options: argparse.Namespace) -> int:
    """List features."""
    cases.check(*options.case)
    if options.feast:
        return _export(options)
    found = features(options.case or cases.names())
    if options.json:
        print(json.dumps(found, indent=2))
        return 0
    head = ["feature", "kind", "cases", "code", "missing", "median", "meaning"]
    rows = [
        [
            each["feature"],
            each["kind"],
            ", ".join(each["cases"]),
            each["code"][:8],
            f"{each['missing']:.1%}",
            f"{each['median']:.4g}" if each["median"] is not None else "",
            each["meaning"][:80],
        ]
        for each in found
    ]
    print("\n".join(tables.aligned([head, *rows])))
    if not found:
        print("no case has features yet; run: hardcover run")
    return 0


def _export(options: argparse.Namespace) -> int:
    from hardcover.project.case import Case
    from hardcover.release import feast

    if len(options.case) != 1:
        raise HardcoverError("--feast is of one case", "", "Name it: hardcover features fraud --feast feast")
    case = Case(options.case[0], options.env)
    module = importlib.import_module(case.parameter("features_module"))
    pointer = publish.current(case.case)
    tags = {"wheel": pointer["wheel"]} if pointer else {}
    given = case.load("clean"), case.load("features"), case.load("feature_plan"), module
    views = feast.export(case.case, *given, options.feast, tags)
    facts = {"case": case.case, "folder": str(options.feast), "views": views}
    said = f"{', '.join(views)} in {options.feast}: run feast apply there"
    print(json.dumps(facts, indent=2) if options.json else said)
    return 0


def features(names: list[str]) -> list[dict[str, Any]]:
    """Return each feature with its ``kind``, ``meaning``, ``unit``, ``code``, ``cases``, ``wheels``, ``made`` and distribution.

    The distribution is of the newest table of the first case that has it.
    """
    folders = versions.by_dataset(Path(settings.read("data.root")))
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for case in names:
        plan = _newest(folders.get(f"{case}.feature_plan"))
        table = _newest(folders.get(f"{case}.features"))
        schema = _newest(folders.get(f"{case}.schema"))
        if plan is None or table is None or schema is None:
            continue
        facts = json.loads(plan.read_text(encoding="utf-8"))
        fields = json.loads(schema.read_text(encoding="utf-8"))["properties"]
        pointer = publish.current(case)
        for each in _of_case(facts, fields, table):
            mine = found.setdefault((each["feature"], each["code"]), {**each, "cases": [], "wheels": []})
            mine["cases"].append(case)
            if pointer and each["input"]:
                mine["wheels"].append(pointer["wheel"])
    return sorted(found.values(), key=lambda each: (each["cases"], each["feature"]))


def _newest(folder: Path | None) -> Path | None:
    version = versions.latest(folder) if folder else None
    if folder is None or version is None:
        return None
    return next(path for path in (folder / version).iterdir() if path.name != "manifest.json")


def _of_case(plan: dict, fields: dict, table: Path) -> list[dict[str, Any]]:
    import pandas as pd

    values = pd.read_parquet(table, columns=plan["inputs"])
    declared = {**plan.get("windows", {}), **plan.get("lookups", {})}
    names = dict.fromkeys([*plan["inputs"], *plan["functions"], *declared])
    return [_one(name, plan, fields, values) for name in names]


def _one(name: str, plan: dict, fields: dict, values: Any) -> dict[str, Any]:
    function, field = plan["functions"].get(name), fields.get(name, {})
    if name in plan.get("windows", {}):
        kind, meaning, code = "window", plan["windows"][name], plan["windows"][name]
    elif name in plan.get("lookups", {}):
        kind, meaning, code = "lookup", plan["lookups"][name], plan["lookups"][name]
    elif function:
        kind, meaning, code = "function", function["description"].split("\n")[0], function["code"]
    else:
        kind, meaning, code = "raw", field.get("description", ""), ""
    facts = {
        "feature": name,
        "kind": kind,
        "meaning": meaning,
        "unit": field.get("x-unit"),
        "code": code,
        "input": name in plan["inputs"],
        "missing": 0.0,
        "median": None,
    }
    if name in values:
        column = values[name].astype("float64")
        known = column.dropna()
        facts["missing"] = float(column.isna().mean())
        if len(known):
            quantiles = known.quantile([0, 0.05, 0.5, 0.95, 1])
            facts |= {"median": float(quantiles[0.5]), "quantiles": [float(each) for each in quantiles]}
    return facts
