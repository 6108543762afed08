"""What is asked to be served: wheels, and cases whose pointers are followed; copied, and checked before they answer."""

import contextlib
import hashlib
import io
import json
import os
import signal
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from hardcover.errors import HardcoverError, ReleaseError
from hardcover.release import publish
from hardcover.serving.release import Release

CHECK_SECONDS = 120


class Source(NamedTuple):
    """What is asked to be served: a wheel's file, the folder of an installed one, or a case, whose pointer is followed."""

    role: str
    path: Path | None
    case: str | None

    @classmethod
    def of(cls, named: str, role: str = "champion") -> "Source":
        """Return what a name on the command line means: a file ending in ``.whl`` or a path, else a case, by its pointer of that role."""
        is_path = named.endswith(".whl") or os.sep in named
        return cls(role, Path(named), None) if is_path else cls(role, None, named)

    def wheel(self) -> Path | None:
        """Return the file to serve now; None where a case has no challenger.

        Raises
        ------
        ReleaseError
            When the case has no release.
        """
        if self.path is not None:
            return self.path
        pointer = publish.current(str(self.case), self.role)
        if pointer is None and self.role == publish.CHALLENGER:
            return None
        if pointer is None:
            fix = f"Run: hardcover run {self.case}, which ends with a proven wheel."
            raise ReleaseError(f"no wheel of {self.case!r} is released", str(publish.folder()), fix)
        return Path(pointer["path"])

    def stamp(self) -> Any:
        """Return what changes when the file or the pointer does."""
        path = self.path if self.path is not None else publish.pointer_file(str(self.case), self.role)
        return _stamp_of(path)

    def stamp_of_tables(self) -> Any:
        """Return what changes when there are other tables of how sure answers are."""
        return None if self.case is None else _stamp_of(publish.confidence_file(self.case))


def _stamp_of(path: Path) -> Any:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def tables(sources: Sequence[Source]) -> dict[str, dict]:
    """Return, by case, what ``hardcover cycle`` found of how sure answers are: ``version``, ``sha256`` of the wheel that it is of, and ``confidence``.

    Raises
    ------
    ReleaseError
        When a file of them cannot be read, or is something else.
    """
    found: dict[str, dict] = {}
    for case in {source.case for source in sources if source.case is not None}:
        file = publish.confidence_file(case)
        try:
            facts = json.loads(file.read_text(encoding="utf-8"))
            found[case] = {name: facts[name] for name in ("version", "sha256", "confidence")}
        except FileNotFoundError:
            continue
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ReleaseError(
                f"cannot read tables: {error}", str(file), "Remove it; hardcover cycle makes it again."
            ) from error
    return found


def copied(sources: Sequence[Source], folder: Path) -> dict[str, str]:
    """Copy the wheels to serve into a folder, so that what was checked is what is opened.

    Returns
    -------
    dict
        The copies by role and name, such as ``champion fraud``.

    Raises
    ------
    HardcoverError
        When a wheel is missing or damaged, or two answer for one case.
    """
    found: dict[str, str] = {}
    for source in sources:
        wheel = source.wheel()
        if wheel is None:
            continue
        try:
            content = _packed(wheel) if wheel.is_dir() else wheel.read_bytes()
        except OSError as error:
            fix = "Give a wheel's path, or the name of a case that was released."
            raise ReleaseError(f"cannot read the wheel: {error.strerror}", str(wheel), fix) from error
        copy = folder / f"{hashlib.sha256(content).hexdigest()}.whl"
        if not copy.exists():
            copy.write_bytes(content)
        name = Release(copy, folder).name if source.path is not None else str(source.case)
        if f"{source.role} {name}" in found:
            raise HardcoverError(
                f"two wheels answer for {name!r}",
                str(wheel),
                "Name one, and the other with --challenger.",
            )
        found[f"{source.role} {name}"] = str(copy)
    return found


def _packed(folder: Path) -> bytes:
    """Return an installed package as the archive that a wheel is, the same bytes for the same files."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.suffix != ".pyc":
                name = f"{folder.name}/{path.relative_to(folder).as_posix()}"
                archive.writestr(zipfile.ZipInfo(name), path.read_bytes())
    return made.getvalue()


def checked(sources: Sequence[Source], folder: Path) -> dict[str, str]:
    """Copy, open and check the wheels in a process of its own, since what is damaged may end it; return as ``copied`` does.

    Raises
    ------
    ReleaseError
        When one is not sound.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        _check_and_exit(sources, folder, writer)
    os.close(writer)
    told, until = b"", time.monotonic() + CHECK_SECONDS
    os.set_blocking(reader, False)
    while time.monotonic() < until:
        try:
            part = os.read(reader, 65536)
        except BlockingIOError:
            time.sleep(0.005)
            continue
        if not part:
            break
        told += part
    os.close(reader)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    if not told:
        raise ReleaseError(
            "the wheel ended the process that checked it", "a new release", "Release it again."
        )
    found = json.loads(told)
    if "error" in found:
        raise ReleaseError(found["error"].rstrip("."), "a new release")
    return found["wheels"]


def _check_and_exit(sources: Sequence[Source], folder: Path, writer: int) -> NoReturn:
    try:
        wheels = copied(sources, folder)
        for path in wheels.values():
            Release(Path(path), folder).check()
        answer: dict[str, Any] = {"wheels": wheels}
    except BaseException as error:
        answer = {"error": str(error)}
    os.write(writer, json.dumps(answer).encode())
    os._exit(0)
