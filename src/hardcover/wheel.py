"""Build a case's inference wheel, and score with it where nothing else is installed.

A wheel holds the runtime and the features module unchanged, the model as flat arrays, the JSON Schema, golden rows
and a manifest. It needs Python and numpy.
"""

import base64
import hashlib
import io
import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any

from kedro.io import AbstractVersionedDataset, Version

from hardcover import runtime, settings, storage
from hardcover.errors import ReleaseError
from hardcover.runtime.model import FILES, PROOF

_INIT = '''"""The released model of the case {case}: ``from {package} import model``."""

from pathlib import Path

from . import features
from .runtime import InvalidRecord, Model, Prediction

__all__ = ["InvalidRecord", "Model", "Prediction", "model"]
__version__ = "{version}"

model = Model(Path(__file__).parent, features)
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
dependencies = ["numpy>=1.26"]

[tool.hatch.build.targets.wheel]
packages = ["{package}"]
"""
_SCORE = """
import json, sys
forbidden = {{"pandas", "lightgbm", "mlflow", "kedro", "sklearn", "pickle"}}
from {package} import model
model.predict(json.load(open("record.json")))
loaded = forbidden & set(sys.modules)
import numpy
columns = dict(numpy.load("columns.npz"))
# numpy imports pickle for its own files; what comes after is ours.
before = set(sys.modules)
rows, differences = model.selftest()
scores = model.predict_many(columns, validate=False)
loaded |= forbidden & (set(sys.modules) - before)
print(json.dumps({{"scores": [float(score).hex() for score in scores], "golden": rows, "differences": differences,
                   "modules": sorted(loaded), "python": sys.version.split()[0], "numpy": numpy.__version__}}))
"""


class BytesDataset(AbstractVersionedDataset[bytes, bytes]):
    """A file kept as it is, such as a wheel."""

    def __init__(self, *, filepath: str, version: Version | None = None, metadata: dict | None = None):
        super().__init__(PurePosixPath(filepath), version)
        self.metadata = metadata

    def load(self) -> bytes:
        """Read the file."""
        return Path(self._get_load_path()).read_bytes()

    def save(self, data: bytes) -> None:
        """Write the file."""
        path = Path(self._get_save_path())
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def _exists(self) -> bool:
        return Path(self._get_load_path()).is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath, "version": self._version}


def build(
    case: str, base_version: str, features_source: str, files: dict[str, bytes], manifest: dict
) -> bytes:
    """Build the wheel ``casebook_<case>``; the same input gives the same bytes.

    Parameters
    ----------
    case
        Names the package.
    base_version
        The release's version; ``+m`` and eight digits of the content's digest are added, so two wheels of one version
        answer alike.
    features_source
        The features module, as exported.
    files
        The contents of ``runtime.model.FILES``.
    manifest
        What ``model.about`` gives besides the name, version and digests.

    Raises
    ------
    ReleaseError
        When the build fails.
    """
    package = f"casebook_{case}"
    content = hashlib.sha256(features_source.encode())
    for name in FILES:
        content.update(files[name])
    version = f"{base_version}+m{content.hexdigest()[:8]}"
    about = {
        "format": "hardcover.release/1",
        "name": package,
        "version": version,
        **manifest,
        "files": {name: hashlib.sha256(files[name]).hexdigest() for name in FILES},
        "features_sha256": hashlib.sha256(features_source.encode()).hexdigest(),
    }
    names = {"case": case, "package": package, "version": version}
    with tempfile.TemporaryDirectory(prefix="hardcover-wheel-") as folder:
        root = Path(folder) / package
        (root / "runtime").mkdir(parents=True)
        for path in sorted(Path(runtime.__file__).parent.glob("*.py")):
            (root / "runtime" / path.name).write_bytes(path.read_bytes())
        for name in FILES:
            (root / name).write_bytes(files[name])
        (root / "manifest.json").write_text(json.dumps(about, indent=1, sort_keys=True), encoding="utf-8")
        (root / "features.py").write_text(features_source, encoding="utf-8")
        (root / "__init__.py").write_text(_INIT.format(**names), encoding="utf-8")
        (root / "__main__.py").write_text(_MAIN.format(**names), encoding="utf-8")
        (root / "py.typed").touch()
        (Path(folder) / "pyproject.toml").write_text(_PROJECT.format(**names), encoding="utf-8")
        call(
            [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", "built"],
            "build the wheel",
            folder,
        )
        (wheel,) = (Path(folder) / "built").glob("*.whl")
        return wheel.read_bytes()


def file_name(wheel: bytes) -> str:
    """Give the name that installers want for a wheel, from its metadata."""
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    return f"{metadata.partition('.dist-info')[0]}-py3-none-any.whl"


def land(wheel: bytes) -> Path:
    """Copy a wheel under its own name to where releases land; gives the path.

    A wheel of the same content that is there already stays, since it may carry its proof.
    """
    path = Path(settings.read("release.dist")) / file_name(wheel)
    if not path.is_file() or _members(path.read_bytes()) != _members(wheel):
        storage.write_atomically(path, wheel)
    return path


def _members(wheel: bytes) -> dict[str, bytes] | None:
    try:
        with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
            found = {name: archive.read(name) for name in archive.namelist()}
    except (zipfile.BadZipFile, OSError):
        return None
    return {name: content for name, content in found.items() if not name.endswith((PROOF, "/RECORD"))}


def with_proof(wheel: bytes, proof: bytes) -> bytes:
    """Give a wheel that carries ``proof.json`` beside its model; everything else in it stays as it is.

    RECORD names the new file with its hash, as https://packaging.python.org/specifications/recording-installed-packages
    asks.
    """
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(wheel)) as old, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as new:
        (record,) = (item for item in old.infolist() if item.filename.endswith(".dist-info/RECORD"))
        place = f"{record.filename.partition('-')[0]}/{PROOF}"
        for item in old.infolist():
            if item.filename not in (record.filename, place):
                new.writestr(item, old.read(item))
        digest = base64.urlsafe_b64encode(hashlib.sha256(proof).digest()).rstrip(b"=").decode()
        lines = [line for line in old.read(record).decode().splitlines() if not line.startswith(f"{place},")]
        lines.insert(-1, f"{place},sha256={digest},{len(proof)}")
        # The date of a wheel's files is fixed, so that the same content gives the same bytes.
        new.writestr(zipfile.ZipInfo(place, record.date_time), proof, zipfile.ZIP_DEFLATED)
        new.writestr(record, "\n".join(lines) + "\n", zipfile.ZIP_DEFLATED)
    return made.getvalue()


def score_elsewhere(wheel: bytes, columns: dict, record: dict) -> dict:
    """Install a wheel with numpy and nothing else into a fresh environment, and score there.

    Parameters
    ----------
    wheel
        As ``build`` gives it.
    columns
        Raw columns, arrays of shape (rows,); categories as text.
    record
        One raw record, scored alone before numpy is imported.

    Returns
    -------
    dict
        ``scores`` as hexadecimal floats, ``golden`` rows compared and their ``differences``, the forbidden ``modules``
        that were loaded, and the versions of Python and numpy.

    Raises
    ------
    ReleaseError
        When the environment cannot be made or the wheel fails in it.
    """
    import numpy as np

    with tempfile.TemporaryDirectory(prefix="hardcover-fresh-") as folder:
        python = install(wheel, Path(folder), f"numpy=={np.__version__}")
        np.savez(Path(folder) / "columns.npz", **columns)
        (Path(folder) / "record.json").write_text(json.dumps(record), encoding="utf-8")
        script = _SCORE.format(package=package_of(wheel))
        answer = json.loads(call([python, "-I", "-c", script], "score with the wheel", folder))
    if answer["modules"]:
        raise ReleaseError(
            f"the wheel loads {answer['modules']}",
            file_name(wheel),
            "Keep them out of the features notebook.",
        )
    return answer


def install(wheel: bytes, folder: Path, *requirements: str) -> str:
    """Make an environment in ``folder`` with a wheel and just these requirements; gives its Python.

    Raises
    ------
    ReleaseError
        When the environment cannot be made.
    """
    from uv import find_uv_bin

    name, python = file_name(wheel), str(folder / "env" / "bin" / "python")
    (folder / name).write_bytes(wheel)
    call([find_uv_bin(), "venv", "--quiet", "--python", sys.executable, "env"], "make an environment", folder)
    command = [
        find_uv_bin(),
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--python",
        python,
        name,
        *requirements,
    ]
    try:
        # What was just installed lies in uv's cache; no network is needed.
        call([*command, "--offline"], "install the wheel", folder)
    except ReleaseError:
        call(command, "install the wheel", folder)
    return python


def package_of(wheel: bytes) -> str:
    """Give the name that a wheel is imported by."""
    return file_name(wheel).partition("-")[0]


def call(command: list[str], purpose: str, folder: str | Path, **options: Any) -> str:
    """Run a command in a folder; gives what it printed.

    Raises
    ------
    ReleaseError
        When it fails, with its last lines.
    """
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, **options)
    if done.returncode:
        last = "\n".join((done.stderr or done.stdout).strip().splitlines()[-5:])
        raise ReleaseError(f"cannot {purpose}: {last}", " ".join(command[:4]), "See the lines above.")
    return done.stdout
