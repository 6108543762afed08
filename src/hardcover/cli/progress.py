"""Progress on standard error; standard output is for results."""

import shutil
import sys


def say(line: str, transient: bool = False) -> None:
    """Print a line of progress; a transient one is overwritten by the next."""
    # A log keeps every line; a line for every cell would drown the rest.
    if transient and not sys.stderr.isatty():
        return
    clear()
    width = shutil.get_terminal_size().columns - 1
    print(line[:width] if transient else line, end="\r" if transient else "\n", file=sys.stderr, flush=True)


def clear() -> None:
    """Remove a transient line."""
    if sys.stderr.isatty():
        print("\x1b[2K", end="\r", file=sys.stderr)
