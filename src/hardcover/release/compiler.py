"""Compile the runtime's kernel: for this machine by its own compiler, for any other by zig, which brings all their libraries.

Each library is made once for a source and a command, and kept in ``.tools/kernels``.
"""

import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from functools import cache
from pathlib import Path
from typing import NamedTuple

from hardcover import settings
from hardcover.errors import ReleaseError, UnknownName
from hardcover.store import disk

# Named from this module's folder, so that a changed kernel is a changed release; see fingerprints.
SOURCES = ("../runtime/kernel.c", "../runtime/lanes.h", "../runtime/profile.h", "../runtime/shapley.h")
# Without contraction, products and sums are rounded as LightGBM's are.
FLAGS = ("-std=c11", "-O3", "-ffp-contract=off", "-fvisibility=hidden", "-shared", "-fPIC", "-s")


class Target(NamedTuple):
    """A platform: zig's name of it, the tag of its wheels, and the kernel's file name there."""

    triple: str
    tag: str
    file: str


TARGETS = {
    "linux-x86_64": Target("x86_64-linux-gnu.2.17", "manylinux_2_17_x86_64", "kernel.so"),
    "linux-aarch64": Target("aarch64-linux-gnu.2.17", "manylinux_2_17_aarch64", "kernel.so"),
    "musl-x86_64": Target("x86_64-linux-musl", "musllinux_1_2_x86_64", "kernel.so"),
    "musl-aarch64": Target("aarch64-linux-musl", "musllinux_1_2_aarch64", "kernel.so"),
    "macos-arm64": Target("aarch64-macos.11.0", "macosx_11_0_arm64", "kernel.dylib"),
    "windows-x86_64": Target("x86_64-windows-gnu", "win_amd64", "kernel.dll"),
}


class Compiled(NamedTuple):
    """A kernel: the shared library, the tag of wheels that hold it, and its file name in them."""

    path: Path
    tag: str
    file: str


def sources() -> dict[str, bytes]:
    """Return the kernel's source by file name, as wheels carry it."""
    paths = [Path(__file__).parent / name for name in SOURCES]
    return {path.name: path.read_bytes() for path in paths}


def kernel(target: str | None = None, source: dict[str, bytes] | None = None) -> Compiled:
    """Return the compiled kernel for a target of ``TARGETS``; None is this machine.

    Parameters
    ----------
    target
        The platform.
    source
        As ``sources`` gives it, which is what None takes.

    Raises
    ------
    UnknownName
        When the target is none.
    ReleaseError
        When no compiler can make it; the runtime then evaluates in plain Python.
    """
    source = source or sources()
    if target is None:
        return _here(source)
    if target not in TARGETS:
        raise UnknownName("target", target, list(TARGETS))
    chosen = TARGETS[target]
    return Compiled(
        _compiled([*zig(), "-target", chosen.triple], chosen.file, source), chosen.tag, chosen.file
    )


def _here(source: dict[str, bytes]) -> Compiled:
    # A Python for two kinds of processors still runs on one.
    tag = (
        sysconfig.get_platform().replace("universal2", platform.machine()).replace("-", "_").replace(".", "_")
    )
    path = library("kernel", source)
    return Compiled(path, tag, path.name)


def library(name: str, source: dict[str, bytes]) -> Path:
    """Return a shared library for this machine, compiled from C, of which the first file includes the others.

    Raises
    ------
    ReleaseError
        When no compiler can make it.
    """
    file = name + {"darwin": ".dylib", "win32": ".dll"}.get(sys.platform, ".so")
    own = own_compiler()
    if own:
        try:
            return _compiled([own], file, source)
        except ReleaseError:
            # Some compilers know other flags, or lack the headers.
            pass
    # Zig would compile for this very processor; a wheel is for all of its kind.
    return _compiled([*zig(), "-mcpu=baseline"], file, source)


def own_compiler() -> str | None:
    """Find this machine's C compiler: ``CC``, or ``cc``."""
    return shutil.which(os.environ.get("CC", "cc"))


def zig() -> list[str]:
    """Return the command of the C compiler that the package ziglang brings."""
    return [sys.executable, "-m", "ziglang", "cc"]


def _compiled(command: list[str], file: str, source: dict[str, bytes]) -> Path:
    asked = " ".join([*command[1:], *FLAGS, platform.machine(), _version(*command)])
    name = disk.digest_of(b"".join([*source.values(), asked.encode()]))[:16]
    path = settings.project_root() / ".tools" / "kernels" / name / file
    if not path.is_file():
        with tempfile.TemporaryDirectory(prefix="hardcover-kernel-") as scratch:
            for each, content in source.items():
                (Path(scratch) / each).write_bytes(content)
            # Called from its folder: what it makes must not tell where that was.
            done = subprocess.run(
                [*command, *FLAGS, "-o", file, next(iter(source))],
                cwd=scratch,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise ReleaseError(
                    f"cannot compile the {Path(file).stem}: {done.stderr.strip()[-500:]}",
                    " ".join(command[:4]),
                    "Install a C compiler, or the package ziglang.",
                )
            disk.write_atomically(path, (Path(scratch) / file).read_bytes())
    return path


@cache
def _version(*command: str) -> str:
    # Zig leaves an object file where it is called, even for this.
    with tempfile.TemporaryDirectory(prefix="hardcover-kernel-") as scratch:
        options = {"cwd": scratch, "capture_output": True, "text": True, "check": False}
        return subprocess.run([*command, "--version"], **options).stdout
