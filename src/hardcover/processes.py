"""Commands of other programs, whose failure is one of our errors."""

import subprocess
import sys
from pathlib import Path

from hardcover.errors import HardcoverError

MAX_LINES = 8
FIX = "Mend what the last line names."
_START = "import sys; from hardcover.cli.main import main; sys.exit(main())"


def ours(*words: str) -> list[str]:
    """Return a command that types ``hardcover`` and these words, in this Python."""
    return [sys.executable, "-c", _START, *words]


def call(
    command: list[str],
    purpose: str,
    error: type[HardcoverError] = HardcoverError,
    folder: str | Path | None = None,
    environment: dict[str, str] | None = None,
    fix: str = FIX,
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
        raise failed(purpose, done.stderr or done.stdout, " ".join(map(str, command[:5])), error, fix)
    return done.stdout


def failed(
    purpose: str, said: str, where: str, error: type[HardcoverError] = HardcoverError, fix: str = FIX
) -> HardcoverError:
    """Make the error of a process that failed, from the last lines of what it said."""
    last = "\n".join(said.strip().splitlines()[-MAX_LINES:])
    return error(f"cannot {purpose}: {last}", where, fix)
