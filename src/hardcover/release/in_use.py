"""Put a wheel to use: the pointer that services follow and the registry's alias change together."""

from hardcover.release import publish
from hardcover.store import run_lock
from hardcover.tracking import registry


def promote(case: str, wheel: str | None = None, how: str = "promote") -> dict:
    """Make a challenger champion, or the wheel of a file name or version.

    Parameters
    ----------
    case, wheel
        As `publish.candidate` takes them.
    how
        As `publish.promote` takes it.

    Returns
    -------
    dict
        The champion's pointer; ``registry`` says what the registry was told.

    Raises
    ------
    ReleaseError
        As `publish.candidate` does.
    """
    with run_lock.hold("tracking"):
        return agree(publish.promote(publish.candidate(case, wheel), how))


def roll_back(case: str) -> dict:
    """Make the champion before the current one champion again; returns as `promote` does.

    Raises
    ------
    ReleaseError
        As `publish.before` does.
    """
    with run_lock.hold("tracking"):
        return agree(publish.promote(publish.before(case), "rollback"))


def agree(pointer: dict) -> dict:
    """Let the registry's alias follow a champion's pointer; returns as `promote` does."""
    with run_lock.hold("tracking"):
        return publish.note(pointer, registry=registry.set_champion(pointer["case"], pointer["wheel"]))
