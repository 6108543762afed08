"""Where a service keeps the events that windows look at: in memory for one worker, in SQLite for one machine, in Valkey for many."""

import importlib
from typing import Any
from urllib.parse import urlsplit

from hardcover.errors import HardcoverError
from hardcover.serving.release import Release

_FIX = "Give --histories sqlite:PATH for one machine, or valkey://HOST:PORT/PREFIX for many."


def check(where: str | None, releases: list[Release], workers: int) -> None:
    """Check whether histories can be kept as asked.

    Raises
    ------
    HardcoverError
        When several workers would each keep events of their own, or ``where`` is no address.
    """
    names = [release.name for release in releases if release.has_windows]
    if names and where is None and workers > 1:
        what = f"the features of {', '.join(names)} look at past events, which {workers} workers would each keep for themselves"
        raise HardcoverError(what, "--workers", f"Serve with --workers 1. {_FIX}")
    if where is not None and urlsplit(where).scheme not in ("sqlite", "valkey", "redis"):
        raise HardcoverError(f"no histories can be kept at {where!r}", "--histories", _FIX)


def attach(release: Release, where: str | None, keep_all: bool) -> None:
    """Let a release's windows look at the events that are kept there; None leaves them in memory.

    ``keep_all`` keeps events that no window of a later record would look at, for records that come with a past time.

    Raises
    ------
    HardcoverError
        When the store cannot be opened, or is of other windows.
    """
    if not release.has_windows:
        return
    try:
        if where is not None:
            release.model.histories = _store(release, where)
        if keep_all:
            release.model.histories.keep = None
    except Exception as error:
        raise HardcoverError(
            f"the histories of {release.name} cannot be used: {error}", where or "memory", _FIX
        ) from error


def _store(release: Release, where: str) -> Any:
    runtime, plan, address = release.module.runtime.__name__, release.model._online.plan, urlsplit(where)
    if address.scheme == "sqlite":
        kind = importlib.import_module(f"{runtime}.histories_sqlite").SqliteHistories
        return kind(plan, where.partition(":")[2], durable=True)
    import valkey

    client = valkey.Valkey(address.hostname or "localhost", address.port or 6379, socket_timeout=1.0)
    kind = importlib.import_module(f"{runtime}.histories_valkey").ValkeyHistories
    return kind(plan, client, address.path.strip("/") or release.name)
