"""A wheel as a file: its name, what it needs, and the proof that it carries."""

import ast
import base64
import hashlib
import io
import re
import zipfile
from importlib.metadata import version as version_of

from hardcover.runtime.features import is_shared
from hardcover.runtime.files import PROOF


def imported(source: bytes) -> set[str]:
    """Return the top-level packages that a module imports; of modules of its own project, those that cases do not share."""
    names: set[str] = set()
    for part in ast.walk(ast.parse(source)):
        if isinstance(part, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in part.names}
        elif isinstance(part, ast.ImportFrom) and part.module and not _of_shared(part):
            names.add(part.module.partition(".")[0])
    return names


def shared_by(source: bytes) -> list[str]:
    """Return the modules that cases share and a module imports, as ``shared.clock`` or ``fraud.features``."""
    found = (part for part in ast.walk(ast.parse(source)) if isinstance(part, ast.ImportFrom))
    return sorted({str(part.module) for part in found if _of_shared(part)})


def _of_shared(part: ast.ImportFrom) -> bool:
    return part.level == 2 and is_shared(f"package.{part.module}")


def requirements_of(wheel: bytes) -> list[str]:
    """Return what a wheel needs besides Python, pinned to the versions that are installed here."""
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        text = archive.read(metadata).decode()
    needed = re.findall(r"^Requires-Dist: ([\w.-]+)(?!.*extra ==)", text, re.M)
    return [f"{name}=={version_of(name)}" for name in needed]


def file_name(wheel: bytes) -> str:
    """Return the name that installers want for a wheel, from its metadata."""
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/WHEEL"))
        (tag,) = re.findall(r"^Tag: (\S+)$", archive.read(metadata).decode(), re.M)[:1]
    return f"{metadata.partition('.dist-info')[0]}-{tag}.whl"


def with_proof(wheel: bytes, proof: bytes) -> bytes:
    """Return a wheel that carries ``proof.json`` beside its model; everything else in it stays as it is.

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


def package_of(wheel: bytes) -> str:
    """Return the name that a wheel is imported by."""
    return file_name(wheel).partition("-")[0]
