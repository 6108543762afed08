"""Build a case's inference wheel.

A wheel holds the runtime with its kernel compiled for one platform, the features module unchanged, the model as flat arrays,
the JSON Schema, golden rows and a manifest. It needs Python, and numpy if the features do or for many records at once.
"""

import hashlib
import io
import json
import os
import sys
import tempfile
import zipfile
from pathlib import Path
from types import ModuleType

from hardcover import processes, runtime
from hardcover.errors import ReleaseError
from hardcover.release import compiler, row_code
from hardcover.release.wheel_file import imported, package_of, shared_by
from hardcover.runtime.features import is_shared
from hardcover.runtime.files import KERNELS, PROOF

FORMAT = "hardcover.release/3"
# The modules of the runtime that only features with windows need.
OF_WINDOWS = {
    "events", "histories", "histories_sqlite", "histories_valkey", "online", "snapshot", "stored", "track", "track_code", "track_layout", "values", "window_plan", "windows",
}  # fmt: skip
OF_LOOKUPS = {"lookups"}
_INIT = '''"""The released model of the case {case}: ``from {package} import model``."""

from pathlib import Path

from .runtime import Confidence, Contribution, InvalidRecord, Model, NotCalibrated, Prediction
from .runtime.features import load

features = load(__name__, Path(__file__).parent)

from .row import row_of  # noqa: E402

__all__ = ["Confidence", "Contribution", "InvalidRecord", "Model", "NotCalibrated", "Prediction", "model"]
__version__ = "{version}"

model = Model(Path(__file__).parent, features, row_of)
'''
_MAIN = '''"""``python -m {package} predict | selftest | about | schema``."""

import sys

from . import model
from .runtime.command import main

sys.exit(main(model, "{package}"))
'''
_PROJECT = """[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "{package}"
version = "{version}"
description = "Inference for the case {case}, released by Hardcover"
requires-python = ">=3.10"
dependencies = {dependencies}

[project.optional-dependencies]
arrays = ["numpy>=1.26"]

[tool.hatch.build]
ignore-vcs = true

[tool.hatch.build.targets.wheel]
packages = ["{package}"]

[tool.hatch.build.targets.wheel.hooks.custom]
path = "tag.py"
"""
_TAG = """from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Tag(BuildHookInterface):
    def initialize(self, version, build_data):
        build_data["tag"], build_data["pure_python"] = "py3-none-{platform}", "{platform}" == "any"
"""


def build(
    package: str,
    case: str,
    base_version: str,
    features_module: ModuleType,
    files: dict[str, bytes],
    manifest: dict,
) -> bytes:
    """Build a case's wheel for this machine; the same input gives the same bytes.

    Without a compiler, it has no kernel and is for any platform.

    Parameters
    ----------
    package
        The name that the wheel is imported by.
    case
        The case, for people.
    base_version
        The release's version; ``+m`` and eight digits of the content's digest are added, so two wheels of one version
        answer alike.
    features_module
        The features, as exported.
    files
        The contents of ``runtime.files.FILES``, of ``ANOMALY`` and ``CALIBRATION`` beside, and of ``runtime.lookups.FILE`` where there are
        lookups.
    manifest
        What ``model.about`` has besides the name, version and digests.

    Raises
    ------
    ReleaseError
        When the build fails.
    """
    features_source = Path(features_module.__file__).read_bytes()
    shared = _shared_of(features_module, features_source)
    source = b"\n".join([features_source, *shared.values()])
    foreign = imported(source) - sys.stdlib_module_names - {"numpy", "hardcover"}
    if foreign:
        fix = "Import them in a cell of the features notebook that is not exported."
        raise ReleaseError(f"the features import {', '.join(sorted(foreign))}", features_module.__name__, fix)
    parts = sorted(Path(runtime.__file__).parent.glob("*.py"))
    if b"windows" not in source:
        parts = [path for path in parts if path.stem not in OF_WINDOWS]
    if b"lookups" not in source:
        parts = [path for path in parts if path.stem not in OF_LOOKUPS]
    code = {f"runtime/{path.name}": path.read_bytes() for path in parts}
    code |= {f"runtime/{name}": source for name, source in compiler.sources().items()}
    # All that an answer depends on, so that wheels of one version answer alike.
    content = hashlib.sha256(features_source + _as_json([manifest["inputs"], manifest["decision"]]))
    for part in (*files.values(), *shared.values(), *code.values()):
        content.update(part)
    version = f"{base_version}+m{content.hexdigest()[:8]}"
    about = {
        "format": FORMAT,
        "name": package,
        "version": version,
        **manifest,
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        "features_sha256": hashlib.sha256(features_source).hexdigest(),
    }
    names = {"case": case, "package": package, "version": version}
    row = row_code.row_code(json.loads(files["schema.json"]), features_module, manifest["inputs"])
    members = {
        **code,
        **files,
        **shared,
        "manifest.json": _as_json(about),
        "features.py": features_source,
        "row.py": row.encode(),
        "__init__.py": _INIT.format(**names).encode(),
        "__main__.py": _MAIN.format(**names).encode(),
        "py.typed": b"",
    }
    try:
        compiled = compiler.kernel()
    except ReleaseError:
        return _pack(members, "any", **names)
    return _pack(_with_kernel(members, compiled), compiled.tag, **names)


def _shared_of(module: ModuleType, source: bytes) -> dict[str, bytes]:
    """Return the files of the modules that cases share and these features import, and those that they import in turn."""
    found: dict[str, bytes] = {}
    waiting = shared_by(source)
    while waiting:
        name = waiting.pop()
        path = f"{name.replace('.', '/')}.py"
        if path not in found:
            found[path] = (Path(module.__file__).parents[1] / path).read_bytes()
            waiting += shared_by(found[path])
    return found


def for_target(wheel: bytes, target: str) -> bytes:
    """Return a released wheel for another platform: the same but for its kernel and its tags, and its proof, which was of it.

    Raises
    ------
    UnknownName, ReleaseError
        As ``compiler.kernel`` does.
    """
    package = package_of(wheel)
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        members = {
            name.removeprefix(f"{package}/"): archive.read(name)
            for name in archive.namelist()
            if name.startswith(f"{package}/") and not name.endswith(PROOF)
        }
    # What the wheel's own runtime was written with, which may be older than this checkout's.
    source = {name: members[f"runtime/{name}"] for name in compiler.sources()}
    compiled = compiler.kernel(target, source)
    about = json.loads(members["manifest.json"])
    names = {"case": about["case"], "package": package, "version": about["version"]}
    return _pack(_with_kernel(members, compiled), compiled.tag, **names)


def _with_kernel(members: dict[str, bytes], compiled: compiler.Compiled) -> dict[str, bytes]:
    about, content = json.loads(members["manifest.json"]), compiled.path.read_bytes()
    others = {name: digest for name, digest in about["files"].items() if name not in KERNELS}
    about["files"] = {**others, compiled.file: hashlib.sha256(content).hexdigest()}
    kept = {name: content for name, content in members.items() if name not in KERNELS}
    return {**kept, compiled.file: content, "manifest.json": _as_json(about)}


def _as_json(facts: dict | list) -> bytes:
    return json.dumps(facts, indent=1, sort_keys=True).encode()


def _is_of_features(name: str) -> bool:
    module = name.removesuffix(".py").replace("/", ".")
    return name == "features.py" or (module.split(".")[0] != "runtime" and is_shared(f"package.{module}"))


def _pack(members: dict[str, bytes], platform: str, case: str, package: str, version: str) -> bytes:
    # Without a need for numpy, a service installs nothing else.
    sources = [members[name] for name in members if _is_of_features(name)]
    needs = ["numpy>=1.26"] if any("numpy" in imported(source) for source in sources) else []
    names = {"case": case, "package": package, "version": version, "dependencies": json.dumps(needs)}
    with tempfile.TemporaryDirectory(prefix="hardcover-wheel-") as folder:
        for name, content in sorted(members.items()):
            path = Path(folder) / package / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        (Path(folder) / "tag.py").write_text(_TAG.format(platform=platform), encoding="utf-8")
        (Path(folder) / "pyproject.toml").write_text(_PROJECT.format(**names), encoding="utf-8")
        # Nothing of this process's environment may change what is built.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("HATCH")}
        environment["SOURCE_DATE_EPOCH"] = "1580601600"
        command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", "built"]
        processes.call(command, "build the wheel", ReleaseError, folder, environment)
        (wheel,) = (Path(folder) / "built").glob("*.whl")
        return wheel.read_bytes()
