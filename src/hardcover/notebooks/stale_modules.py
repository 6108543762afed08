"""A warning when a kernel holds an older module of the project than its file: the code that runs is not the code that one reads."""

import hashlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from hardcover.notebooks import front_end


class Watch:
    """Compares the project's modules that a kernel imported with their files, after every cell.

    Parameters
    ----------
    package
        The project's.
    """

    def __init__(self, package: str):
        self._package = package
        self._seen: dict[str, tuple[int, str]] = {}
        self._told: set[tuple[str, str]] = set()

    def look(self) -> list[str]:
        """Return the modules whose files changed since they were imported, each once for every change."""
        found = []
        for name, module in self._modules():
            digest = _digest(module)
            if digest is None:
                continue
            known = self._seen.get(name)
            if known is None or known[0] != id(module):
                self._seen[name] = (id(module), digest)
            elif known[1] != digest and (name, digest) not in self._told:
                self._told.add((name, digest))
                found.append(name)
        return found

    def _modules(self) -> list[tuple[str, ModuleType]]:
        prefix = f"{self._package}."
        # Of a copy, since other threads import meanwhile.
        return [
            (name, module) for name, module in sorted(sys.modules.copy().items()) if name.startswith(prefix)
        ]

    def after_cell(self, *_: Any) -> None:
        """Show them in the notebook."""
        found = self.look()
        if found:
            lines = [f"{name} is newer on disk than what this kernel imported" for name in found]
            front_end.warn("This kernel runs an older module", lines, "'Restart Kernel' takes the new one.")


def _digest(module: ModuleType) -> str | None:
    file = getattr(module, "__file__", None)
    try:
        return hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else None
    except OSError:
        return None


def watch(package: str) -> None:
    """Look after every cell of this kernel from now on; outside a notebook, do nothing."""
    shell = front_end.shell()
    if shell is None or front_end.notebook_of(shell) is None or hasattr(shell, "hardcover_watch"):
        return
    shell.hardcover_watch = Watch(package)
    shell.hardcover_watch.look()
    shell.events.register("post_run_cell", shell.hardcover_watch.after_cell)
