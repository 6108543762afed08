"""Errors that a user can act on: what happened, where, and what to do.

::

    HardcoverError
    ├── UnknownName          a case, stage, environment, parameter, setting or column that does not exist
    ├── SourceError          a raw file that cannot be read or does not fit its declared layout
    ├── DataError            rows that were read but cannot make a model
    ├── FeatureError         a feature function that cannot be resolved or gives nothing usable
    ├── ModelTextError       a LightGBM text model that is damaged or cannot be expressed exactly
    ├── VersionError         a version of a dataset that is missing, uncommitted or damaged
    ├── StorageError         the disk is full or a path cannot be written
    ├── RunLocked            another run holds the data folder
    ├── StageFailed          a stage's notebook or node raised
    ├── Stopped              Ctrl-C
    ├── ProofFailed          a face that cannot answer the rows of a proof
    ├── ReproductionFailed   a past run that cannot be run again, for what is named
    └── ReleaseError         a wheel that cannot be built or does not answer like its model

The runtime that travels inside a wheel has its own two: ``runtime.InvalidRecord`` and ``runtime.DamagedRelease``.
"""

import difflib
from collections.abc import Iterable

MAX_SHOWN = 5


class HardcoverError(Exception):
    """What happened, where, and what to do.

    Parameters
    ----------
    what
        The event, with the offending value in quotes.
    where
        The dataset, file, node or row, as far as known.
    fix
        The command or the key that mends it.
    """

    def __init__(self, what: str, where: str = "", fix: str = ""):
        self.what, self.where, self.fix = what, where, fix
        text = f"{what} ({where})" if where else what
        super().__init__(f"{text}. {fix}".strip() if fix else f"{text}.")

    def __reduce__(self) -> tuple:
        return _rebuild, (type(self), self.__dict__)


def _rebuild(kind: type[HardcoverError], facts: dict) -> HardcoverError:
    error = kind.__new__(kind)
    error.__dict__.update(facts)
    HardcoverError.__init__(error, facts["what"], facts["where"], facts["fix"])
    return error


class UnknownName(HardcoverError):
    """A name that does not exist; the closest one that does is offered.

    Examples
    --------
    >>> print(UnknownName("case", "recomendation", ["fraud", "recommendation"]))
    unknown case 'recomendation'. Did you mean 'recommendation'? Known: fraud, recommendation.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], where: str = ""):
        self.kind, self.name, self.known = kind, name, sorted(known)
        close = closest(name, self.known)
        hint = f"Did you mean {close!r}? " if close else ""
        there = f"Known: {some(self.known, 12)}." if self.known else "There is none."
        super().__init__(f"unknown {kind} {name!r}", where, f"{hint}{there}")


class SourceError(HardcoverError):
    """A raw file that cannot be read or does not fit its declared layout."""


class DataError(HardcoverError):
    """Rows that were read but cannot make a model."""


class FeatureError(HardcoverError):
    """A feature function that cannot be resolved or gives nothing usable."""


class ModelTextError(HardcoverError):
    """A LightGBM text model that is damaged or cannot be expressed exactly."""


class VersionError(HardcoverError):
    """A version of a dataset that is missing, uncommitted or damaged."""


class StorageError(HardcoverError):
    """The disk is full or a path cannot be written."""


class RunLocked(HardcoverError):
    """Another run holds the data folder."""


class StageFailed(HardcoverError):
    """A stage's notebook or node raised.

    Attributes
    ----------
    stage, cell, source, report
        The stage, the number and source of the failing cell, and the path of the executed copy. The source is empty, and not
        shown, where the error is one of ours, which says all by itself.
    """

    def __init__(self, stage: str, error: str, cell: int, source: str, report: str, traceback: str = ""):
        self.stage, self.error, self.cell, self.source = stage, error, cell, source
        self.report, self.traceback = report, traceback
        lines = source.strip().splitlines()
        shown = "".join(f"\n    {line[:100]}" for line in lines[-8:])
        cell_text = f"\n  the cell:{shown}" if shown else ""
        super().__init__(
            error.rstrip("."),
            f"stage {stage!r}, cell {cell}",
            f"{cell_text}\n  the executed copy: {report}",
        )


class Stopped(HardcoverError):
    """The user pressed Ctrl-C; what was finished before is kept."""

    def __init__(self, where: str):
        super().__init__("stopped by Ctrl-C", where, "Nothing unfinished was kept; run again when you like.")


class ProofFailed(HardcoverError):
    """A face that cannot answer the rows of a proof."""


class ReproductionFailed(HardcoverError):
    """A past run that cannot be run again, for what is named."""


class ReleaseError(HardcoverError):
    """A wheel that cannot be built or does not answer like its model."""


def closest(name: str, known: Iterable[str]) -> str | None:
    """Find the known name most like ``name``, ignoring case; None if nothing is near.

    Examples
    --------
    >>> closest("Weight [kg]", ["weight_kg", "speed"])
    'weight_kg'
    """
    by_folded = {_fold(other): other for other in known}
    matches = difflib.get_close_matches(_fold(name), by_folded, n=1, cutoff=0.6)
    return by_folded[matches[0]] if matches else None


def _fold(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def some(values: Iterable, most: int = MAX_SHOWN) -> str:
    """Join at most ``most`` values, each cut to 60 characters, then say how many more there are.

    Examples
    --------
    >>> some([1, 2, 3], most=2)
    '1, 2 and 1 more'
    """
    texts = [str(value)[:60] for value in values]
    shown = ", ".join(texts[:most])
    return f"{shown} and {len(texts) - most} more" if len(texts) > most else shown
