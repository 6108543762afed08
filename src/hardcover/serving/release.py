"""A released wheel as the service holds it: unpacked, imported under a name of its own, checked; and who answers for a name."""

import hashlib
import importlib.util
import io
import re
import shutil
import sys
import tempfile
import zipfile
from functools import cached_property
from pathlib import Path
from typing import Any

from hardcover.errors import ReleaseError
from hardcover.serving.exchange import Request

_MEMBER = re.compile(r"[\w.+-]+(/[\w.+-]+)*")
SHOWN = 12
# What a log puts before the names of inputs as a model saw them.
SEEN = "seen"


class Release:
    """A wheel, ready to answer.

    Two wheels of one case can be held at once: each is imported under its package's name and its digest.

    Parameters
    ----------
    wheel
        The file.
    folder
        Where it is unpacked, once for all that open the same wheel.

    Attributes
    ----------
    name
        The case that it answers for.
    model
        The wheel's own ``model``.
    version, digest
        What it calls itself, and the first digits of the SHA-256 of its file.
    header
        The header lines that say who answered, and of which pass of the loop its tables of how sure answers are come, where they are not its own.

    Raises
    ------
    ReleaseError
        When the file is no wheel of Hardcover, is damaged, or cannot be imported by this Python.
    """

    def __init__(self, wheel: Path, folder: Path):
        self.wheel = Path(wheel)
        try:
            content = self.wheel.read_bytes()
        except OSError as error:
            raise ReleaseError(f"cannot read the wheel: {error.strerror}", str(wheel), _FIX) from error
        self.digest = hashlib.sha256(content).hexdigest()[:SHOWN]
        place = folder / self.digest
        if not place.is_dir():
            _unpack(content, place, str(wheel))
        self.package = _package_in(place, str(wheel))
        self.module = _imported(place / self.package, f"{self.package}_{self.digest}", str(wheel))
        self.model: Any = self.module.model
        try:
            about = self.model.about
            self.name, self.version, self.task = about["case"], about["version"], about["decision"]["kind"]
            self.fields: dict[str, dict] = self.model.schema["properties"]
        except Exception as error:
            raise ReleaseError(f"the wheel is damaged: {error}", str(wheel), _FIX) from error
        self._named = self.header = f"hardcover-release: {self.version} {self.digest}\r\n".encode()

    def adapt(self, tables: dict | None) -> None:
        """Answer by newer tables of how sure that is, where they are of this wheel; else by its own.

        Parameters
        ----------
        tables
            As `sources.tables` returns them for the case; None: there are none.

        Raises
        ------
        ReleaseError
            When they do not fit the release; its own are used then.
        """
        self.header = self._named
        if not hasattr(type(self.model), "adapt"):
            return
        if not tables or tables["sha256"][:SHOWN] != self.digest:
            self.model.adapt(None)
            return
        try:
            self.model.adapt(tables["confidence"])
        except Exception as error:
            raise ReleaseError(f"tables do not fit: {error}", tables["version"], _FIX) from error
        self.header += f"hardcover-confidence: {tables['version']}\r\n".encode()

    def check(self) -> None:
        """Score the golden rows again, and load what explains and calibrates.

        Raises
        ------
        ReleaseError
            When a score differs from the one at release, or a file from the one that was released.
        """
        try:
            rows, differences = self.model.selftest()
            # Asked now, what explains and calibrates is loaded before workers are forked, and shared.
            _ = (
                self.model.explains,
                getattr(self.model, "calibration", None),
                getattr(self.model, "_unlike", None),
            )
        except Exception as error:
            raise ReleaseError(f"the wheel is damaged: {error}", str(self.wheel), _FIX) from error
        if differences:
            what = f"{len(differences)} of {rows} golden rows are scored differently than at release: {differences[0]}"
            raise ReleaseError(what, str(self.wheel), _FIX)

    @cached_property
    def seen(self) -> list[str]:
        """What a log names the model's inputs, where they look at the past."""
        return [f"{SEEN}.{name}" for name in self.model.inputs]

    @property
    def has_windows(self) -> bool:
        """Whether features look at the past, so that events are observed."""
        return self.model._online is not None


class Served:
    """A model's name, and the releases that answer for it.

    Parameters
    ----------
    champion
        Answers.
    challenger
        Answers a ``share`` of the requests; of the others it is asked afterwards, and differences are counted.
    share
        From 0 to 1. Who is answered by whom goes by a hash of the field ``by`` of the record, else of the header
        ``x-request-id``, so that it stays the same.
    """

    def __init__(
        self, champion: Release, challenger: Release | None = None, share: float = 0.0, by: str | None = None
    ):
        self.champion, self.challenger, self.share, self.by = champion, challenger, share, by

    @property
    def roles(self) -> dict[str, Release]:
        """The releases by role."""
        return {"champion": self.champion} | ({"challenger": self.challenger} if self.challenger else {})

    def chosen(self, request: Request, record: Any) -> Release:
        """Return the release that answers a request."""
        if self.challenger is None or self.share <= 0.0:
            return self.champion
        unit = record.get(self.by) if self.by and type(record) is dict else None
        text = str(unit).encode() if unit is not None else request.headers.get(b"x-request-id", request.body)
        digest = hashlib.blake2b(text, digest_size=8, key=self.champion.name.encode()[:64]).digest()
        return self.challenger if int.from_bytes(digest, "big") < self.share * 2**64 else self.champion


_FIX = "Release it again: hardcover run, or hardcover release."


def _unpack(content: bytes, place: Path, where: str) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=place.parent))
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for member in archive.infolist():
                if not _MEMBER.fullmatch(member.filename) or ".." in member.filename.split("/"):
                    raise ReleaseError(f"the wheel has a member {member.filename!r}", where, _FIX)
            archive.extractall(draft)
        # Whole or not at all; who unpacked the same first wins.
        draft.replace(place)
    except (zipfile.BadZipFile, EOFError, ValueError) as error:
        raise ReleaseError(f"this is not a wheel: {error}", where, _FIX) from error
    except OSError as error:
        if not place.is_dir():
            raise ReleaseError(
                f"cannot unpack the wheel: {error.strerror}",
                str(place.parent),
                "Free the disk, or set TMPDIR.",
            ) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _package_in(place: Path, where: str) -> str:
    found = [path.parent.name for path in place.glob("*/manifest.json")]
    if len(found) != 1:
        raise ReleaseError("this wheel was not released by Hardcover: it has no manifest.json", where, _FIX)
    return found[0]


def _imported(folder: Path, name: str, where: str) -> Any:
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(
        name, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec
    assert spec.loader
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        for other in [other for other in sys.modules if other == name or other.startswith(f"{name}.")]:
            del sys.modules[other]
        fix = "Install what it names, or release the wheel again."
        raise ReleaseError(f"the wheel cannot be imported: {error}", where, fix) from error
    return module
