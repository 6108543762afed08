"""What a node computes from: its code, parameters, inputs and libraries, and whether a version already holds the result."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kedro.io import CachedDataset, MemoryDataset
from kedro.pipeline.node import Node

from hardcover import settings
from hardcover.errors import HardcoverError, some
from hardcover.incremental import fingerprint
from hardcover.store import disk, versions
from hardcover.store.catalog import VersionedCatalog, manifest_of

ALWAYS = "always"
MAX_COMPARED = 100


def origin_of(node: Node, catalog: VersionedCatalog) -> dict:
    """Describe what a node computes from; its inputs must have been made, or be certain to be reused.

    Returns
    -------
    dict
        ``node``, ``code`` (parts with their hashes), ``libraries``, ``inputs`` (version and content of each dataset, or
        the origin of what lives in memory), ``parameters``, ``reads`` (SHA-256 of files that parameters name) and
        ``fingerprint``, one SHA-256 over all these without the versions' names; None where something has no stable
        form, which ``unknown`` then names.
    """
    if node.name in catalog.origins:
        return catalog.origins[node.name]
    origin: dict[str, Any] = {"node": node.name, "inputs": {}, "parameters": {}, "reads": {}, "unknown": []}
    try:
        code = fingerprint.code_of(node.func)
        origin |= {"code": code.parts, "libraries": code.libraries}
    except HardcoverError as error:
        origin |= {"code": {}, "libraries": {}}
        origin["unknown"].append(error.what)
    if ALWAYS in node.tags:
        # Without a fingerprint, what it gives in memory makes those that read it run, too.
        origin["unknown"].append(f"it is tagged {ALWAYS!r}")
    for name in dict.fromkeys(node.inputs):
        if name.startswith("params:") or name == "parameters":
            value = catalog.load(name)
            # As a manifest will hold it: YAML has dates, and numbers as keys.
            origin["parameters"][name] = json.loads(json.dumps(value, default=str))
            origin["reads"] |= _files_named(value)
        else:
            origin["inputs"][name] = _input(name, catalog, origin["unknown"])
    origin["fingerprint"] = None if origin["unknown"] else _fingerprint(node, origin)
    catalog.origins[node.name] = origin
    catalog.makers |= dict.fromkeys(node.outputs, node.name)
    return origin


def _fingerprint(node: Node, origin: dict) -> str:
    computed = {
        "wiring": [node._inputs, node._outputs],
        "code": origin["code"],
        "libraries": origin["libraries"],
        "inputs": {name: facts["content"] for name, facts in origin["inputs"].items()},
        "parameters": origin["parameters"],
        "reads": sorted(origin["reads"].values()),
    }
    return disk.digest_of(json.dumps(computed, sort_keys=True))


def _input(name: str, catalog: VersionedCatalog, unknown: list[str]) -> dict:
    if name in catalog.saved:
        draft = catalog.saved[name]
        return {"version": draft.folder.name, "content": draft.content}
    if catalog.folder_of(name) is not None:
        folder = catalog.committed_folder(name)
        return {"version": folder.name, "content": manifest_of(folder)["content"]}
    maker = catalog.origins.get(catalog.makers.get(name, ""))
    if maker and maker["fingerprint"]:
        # What lives in memory leaves no manifest of its own, so where it came from goes into its readers'.
        return {
            "content": maker["fingerprint"],
            "made_by": {key: maker[key] for key in maker if key != "unknown"},
        }
    dataset = catalog.get(name)
    path = getattr(dataset, "_filepath", None)
    if path and Path(path).is_file() and not isinstance(dataset, MemoryDataset | CachedDataset):
        return {"content": disk.digest(Path(path))}
    unknown.append(f"input {name!r} is neither versioned nor a file")
    return {"content": None}


def _files_named(value: Any) -> dict[str, str]:
    """Hash the files that a parameter names, in lists and mappings too."""
    if isinstance(value, dict):
        return {path: digest for inner in value.values() for path, digest in _files_named(inner).items()}
    if isinstance(value, list | tuple):
        return {path: digest for inner in value for path, digest in _files_named(inner).items()}
    if isinstance(value, str) and _is_file(value):
        return {value: disk.digest(settings.from_project(value))}
    return {}


def _is_file(text: str) -> bool:
    try:
        return bool(text) and settings.from_project(text).is_file()
    except (OSError, ValueError):
        # Too long for a path, or below a folder that may not be looked into.
        return False


def reusable(node: Node, catalog: VersionedCatalog) -> tuple[dict[str, Path], list[str]]:
    """Find versions that hold what a node would give; else say why it has to run.

    Returns
    -------
    tuple
        Folders by output, whose files were compared with their manifests; and the reasons to run, empty when all
        outputs were found.
    """
    origin = origin_of(node, catalog)
    outputs = [name for name in node.outputs if catalog.folder_of(name) is not None]
    if not node.outputs:
        return {}, ["it has no outputs"]
    if origin["unknown"]:
        return {}, origin["unknown"]
    found: dict[str, Path] = {}
    for name in outputs:
        folder, reasons = _matching(name, catalog.folder_of(name), origin)
        if folder is None:
            return {}, reasons
        found[name] = folder
    return found, []


def _matching(name: str, dataset: Path, origin: dict) -> tuple[Path | None, list[str]]:
    newest = versions.latest(dataset)
    if newest is None:
        return None, [f"{name!r} has no version"]
    reasons: list[str] = []
    for folder in (dataset / version for version in _newest_first(dataset, newest)):
        if not versions.is_committed(folder):
            continue
        try:
            manifest = versions.manifest_of(folder)
            if manifest.get("fingerprint") == origin["fingerprint"]:
                # A skip is never taken on trust.
                manifest_of(folder)
                return folder, []
        except HardcoverError as error:
            reasons.append(f"{name!r} is damaged: {error.what}")
            continue
        if folder.name == newest:
            reasons += differences(manifest, origin)
    return None, reasons or [f"{name!r} has no version with this origin"]


def _newest_first(dataset: Path, newest: str) -> Iterator[str]:
    """Return the newest version, and only if that is not enough list the others."""
    yield newest
    yield from [other for other in versions.names(dataset) if other < newest][: MAX_COMPARED - 1]


def differences(manifest: dict, origin: dict) -> list[str]:
    """Describe in words what an origin has other than the one that a manifest records."""
    found = []
    if "fingerprint" not in manifest:
        return ["its version was made before origins were recorded, or by hand"]
    was, now = manifest["code"], origin["code"]
    changed = [name for name in {**was, **now} if was.get(name) != now.get(name)]
    if changed:
        found.append(f"code changed: {some(changed)}")
    for name, version in origin["libraries"].items():
        if manifest["libraries"].get(name, version) != version:
            found.append(f"{name} {manifest['libraries'][name]} -> {version}")
    for name, value in origin["parameters"].items():
        found += _changes(name.removeprefix("params:"), manifest["parameters"].get(name), value)
    for name, facts in origin["inputs"].items():
        before = manifest["inputs"].get(name, {})
        if before.get("content") != facts["content"]:
            both = "made_by" in before and "made_by" in facts
            why = f": {some(differences(before['made_by'], facts['made_by']))}" if both else ""
            found.append(f"input {name!r} changed{why}")
    known = set(manifest["reads"].values())
    found += [f"file {path} changed" for path, digest in origin["reads"].items() if digest not in known]
    return found or ["its inputs or outputs are wired otherwise"]


def _changes(name: str, before: Any, now: Any) -> list[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        keys = dict.fromkeys([*now, *before])
        return [text for key in keys for text in _changes(f"{name}.{key}", before.get(key), now.get(key))]
    if json.dumps(before, sort_keys=True) == json.dumps(now, sort_keys=True):
        return []
    return [f"parameter {name} {before!r:.40} -> {now!r:.40}"]
