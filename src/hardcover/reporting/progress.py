"""Lines of progress: who has something to say calls a reporter, which decides where it is shown."""

from typing import Protocol


class Reporter(Protocol):
    """Called with a line of progress; the next line overwrites a ``transient`` one."""

    def __call__(self, line: str, transient: bool = False) -> None:
        """Show a line."""


def silent(line: str, transient: bool = False) -> None:
    """Show nothing."""
