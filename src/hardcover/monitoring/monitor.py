"""What was served, window by window, beside the holdout rows that the champion was measured on."""

from typing import Any

from hardcover.monitoring import answers
from hardcover.monitoring.change import shifts
from hardcover.monitoring.feed import PERIODS
from hardcover.monitoring.reference import Reference, Scored, champion
from hardcover.reporting.progress import Reporter, silent
from hardcover.runtime.profile import Profile


def monitor(case: str, window: str = "day", say: Reporter = silent) -> dict[str, Any]:
    """Compare what was served with the champion's holdout.

    Parameters
    ----------
    case, window
        The case, and a name of ``feed.PERIODS``.

    Returns
    -------
    dict
        ``case``, ``wheel``, ``reference`` (rows, mean raw score, digest of its profile), and ``windows``: of each its begin, rows, releases that
        answered, mean raw score and its change, ``causes`` and ``shifts`` by input, ``missing`` and ``unseen`` counts, and the digest of its profile.

    Raises
    ------
    HardcoverError
        When there is no champion, nothing was collected, features look at the past, or what the champion was trained on is gone.
    """
    pointer = champion(case)
    served = answers.served(case)
    reference = Reference(pointer, {})
    found = []
    for begin, part in served.groupby(served["time"].dt.to_period(PERIODS[window])):
        say(f"{begin.start_time:%Y-%m-%d %H:%M}, {len(part)} rows", transient=True)
        facts = {"begin": begin.start_time.isoformat(), "releases": sorted(part["release"].unique())}
        found.append(facts | _compared(reference, reference.scored(answers.inputs(part, reference))))
    return {
        "case": case,
        "wheel": pointer["wheel"],
        "reference": {
            "rows": reference.profile.rows,
            "score": reference.holdout.raw.mean(axis=0).tolist(),
            "profile": reference.profile.digest,
        },
        "windows": found,
    }


def _compared(reference: Reference, rows: Scored) -> dict[str, Any]:
    bins, names = reference.profile.bins, list(reference.model.inputs)
    profile = Profile.of(bins, rows.inputs, rows.score)
    change, output, parts = reference.change_of(rows)
    counts = profile.by_name
    counted = [(name, counts[name], edges) for name, edges in zip(names, bins.edges, strict=False)]
    return {
        "rows": profile.rows,
        "score": rows.raw.mean(axis=0).tolist(),
        "change": change.tolist(),
        "explained": bins.names[len(names) + output],
        "causes": parts,
        "shifts": dict(sorted(shifts(reference.profile, profile).items(), key=lambda shift: -shift[1])),
        "missing": {name: counts[-1] for name, counts, _ in counted if counts[-1]},
        "unseen": {name: counts[0] for name, counts, edges in counted if edges[:1] == [-0.5] and counts[0]},
        "profile": profile.digest,
    }
