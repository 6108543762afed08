"""The files of a release: read when they are first needed, and compared with the digests of its manifest."""

import hashlib
import json
import mmap
from pathlib import Path

from .arrays import DamagedRelease

MODEL = "model.safetensors"
FILES = (MODEL, "schema.json", "golden.json")
# The model that knows how unlike an input is, and the tables of ``confidence``; releases of before have neither.
ANOMALY, CALIBRATION = "anomaly.safetensors", "calibration.json"
# How the holdout lay in the bins; releases of before have none.
PROFILE = "profile.bin"
KERNELS = ("kernel.so", "kernel.dylib", "kernel.dll")
PROOF = "proof.json"
NEEDED = {"files", "inputs", "decision", "version"}


class ReleaseFiles:
    """The files in a release's folder.

    Raises
    ------
    DamagedRelease
        From every method, when a file is missing or is not the one that was released.
    """

    def __init__(self, folder: Path):
        self._folder, self._manifest = folder, None

    def manifest(self) -> dict:
        """Read the manifest."""
        if self._manifest is None:
            path = self._folder / "manifest.json"
            try:
                found = json.loads(path.read_text(encoding="utf-8"))
                if not found.keys() >= NEEDED:
                    raise ValueError("it is not what was released")
            except (OSError, ValueError, AttributeError, TypeError) as error:
                raise DamagedRelease(f"cannot read {path}: {error}") from error
            self._manifest = found
        return self._manifest

    def proof(self) -> dict | None:
        """Read the proof; None where there is none."""
        try:
            return json.loads((self._folder / PROOF).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None

    def read(self, name: str) -> bytes:
        """Read a file."""
        path = self._folder / name
        try:
            content = path.read_bytes()
        except OSError as error:
            raise DamagedRelease(f"cannot read {path}: {error}") from error
        self._demand_digest(path, content)
        return content

    def map(self, name: str) -> mmap.mmap:
        """Map a file into memory, which processes share."""
        path = self._folder / name
        try:
            with path.open("rb") as file:
                # A copy of what is written to, which is nothing: C wants memory that could be.
                content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        except (OSError, ValueError) as error:
            raise DamagedRelease(f"cannot read {path}: {error}") from error
        self._demand_digest(path, content)
        return content

    def _demand_digest(self, path: Path, content: bytes | mmap.mmap) -> None:
        if hashlib.sha256(content).hexdigest() != self.manifest()["files"].get(path.name):
            raise DamagedRelease(f"{path} is not the file that was released; install the wheel again")
