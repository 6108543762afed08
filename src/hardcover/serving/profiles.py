"""What workers count of the rows that a release scores: its profile, in memory that they share."""

from collections.abc import Callable
from typing import Any, TypeVar

from hardcover.runtime.files import PROFILE
from hardcover.serving.counters import Counters
from hardcover.serving.exchange import Refused
from hardcover.serving.release import Release

Answered = TypeVar("Answered")


class Watched:
    """A release whose scored rows are counted, by each worker for itself; one of before, without a profile, whose rows are not.

    Parameters
    ----------
    release
        What answers.
    counters
        Who counts, and where.
    """

    def __init__(self, release: Release, counters: Counters):
        self._release, self._live = release, None
        if PROFILE in release.model.about["files"]:
            self._reference = release.model.profile
            self._rows = counters.shared(f"profile-{release.digest}", len(self._reference.counts))
            self._live = release.model.watch(self._rows[counters.place]).counts

    def whole(self, score: Callable[[], Answered]) -> Answered:
        """Return what ``score`` does; where that fails, none of its rows stays counted."""
        live = self._live
        if live is None:
            return score()
        before = live.tobytes()
        try:
            return score()
        except Exception:
            live[:] = memoryview(before).cast("Q")
            raise

    def told(self) -> dict[str, Any]:
        """Return the counts of all workers, since the service has started, beside those of the holdout.

        Raises
        ------
        Refused
            With 501 where the release has no profile.
        """
        if self._live is None:
            raise Refused(501, "this release has no profile; train and release it again")
        make, bins = type(self._reference), self._reference.bins
        profile = sum((make(bins, row) for row in self._rows), make(bins))
        return {
            "version": self._release.version,
            "digest": self._release.digest,
            "rows": profile.rows,
            "edges": dict(zip(bins.names, bins.edges, strict=True)),
            "counts": profile.by_name,
            "holdout": self._reference.by_name,
        }
