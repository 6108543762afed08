"""Commands of other programs, whose failure is one of our errors."""

import subprocess
from pathlib import Path

from hardcover.errors import HardcoverError

MAX_LINES = 8


def call(
    command: list[str],
    purpose: str,
    error: type[HardcoverError] = HardcoverError,
    folder: str | Path | None = None,
    environment: dict[str, str] | None = None,
    fix: str = "Mend what the last line names.",
) -> str:
    """Run a command and return what it printed.

    Parameters
    ----------
    command, folder, environment
        As ``subprocess.run`` takes them.
    purpose
        What it is for, to be read after "cannot".
    error, fix
        What is raised when it fails, and what the user can do then.
    """
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        last = "\n".join((done.stderr or done.stdout).strip().splitlines()[-MAX_LINES:])
        raise error(f"cannot {purpose}: {last}", " ".join(map(str, command[:5])), fix)
    return done.stdout
