"""How sure answers are, kept true while the world drifts: tables of the newest labels, at a level that follows what they covered.

Tables that a release brings hold for rows like those of its holdout. With ``confidence.adapt``, a pass looks how many of the new labels the tables in use cover, moves the level at which tables are made by
``RATE`` for each row that was covered too rarely or too often (I. Gibbs, E. Candès, "Adaptive conformal inference under distribution shift", NeurIPS 2021), and makes new ones of the newest rows. They go into
``dist/CASE.confidence.json``, which services follow; the wheel stays as it was proven.
"""

from typing import Any

import numpy as np

from hardcover.modelling.calibration import answers_of, are_within
from hardcover.monitoring.known import Known
from hardcover.runtime.files import CALIBRATION

RATE = 0.005
# A table of some rows cannot hold more often than that; a level above asks for all that there is.
MOST = 0.9999


def seen(
    before: dict[str, Any] | None, known: Known, conf: dict[str, Any], number: int
) -> dict[str, Any] | None:
    """Return the tables after one more pass.

    Parameters
    ----------
    before, known
        As `fresh.seen` takes them.
    conf
        ``confidence`` of ``conf/``: the ``level``, and ``adapt``, of how many of the newest rows tables are made; 0: never.
    number
        The pass.

    Returns
    -------
    dict or None
        ``wheel``, the champion's; the ``level`` that is kept, and the one that tables are made at to keep it, ``asked``; ``rows`` that were looked at, and how many
        tables in use had ``covered``; the table, ``confidence``, as `runtime.confidence` reads it; and the ``pass`` that made it. None where tables are the release's own.
    """
    champion, new, most = known.champion, known.new, conf.get("confidence", {}).get("adapt", 0)
    before = known.kept(before)
    if not most or new is None:
        return before if most else None
    own = champion.model.calibration if CALIBRATION in champion.model.about["files"] else None
    # Releases of before do not say what their tables are.
    if own is None or own.kind == "none" or not hasattr(own, "confidence"):
        return None
    level = float(own.level)
    last = before or {"asked": level, "rows": 0, "covered": 0, "confidence": own.confidence}
    answers = answers_of(last["confidence"], champion.decision.get("classes", []), known.new_score)
    covered = are_within(answers, new.target)
    asked = followed(last["asked"], level, covered)
    past = known.before(most)
    recent = np.concatenate([past.inputs, new.inputs])
    targets = np.concatenate([past.target, new.target])
    scores, targets = champion.scored(recent[-most:]).score, targets[-most:]
    if (lacking := most - len(targets)) > 0:
        scores = np.concatenate([champion.holdout.score[-lacking:], scores])
        targets = np.concatenate([champion.target[-lacking:], targets])
    return {
        "wheel": champion.pointer["wheel"],
        "level": level,
        "asked": asked,
        "rows": last["rows"] + len(covered),
        "covered": last["covered"] + int(covered.sum()),
        "confidence": champion.task.confidence(targets, scores, possible(asked)),
        "pass": number,
    }


def followed(asked: float, level: float, covered: np.ndarray) -> float:
    """Return the level to make tables at next, so that ``level`` is kept: of rows that were ``covered`` by those made at ``asked``, or not."""
    return asked + RATE * float((level - covered).sum())


def possible(asked: float) -> float:
    """Return the level that a table can be made at."""
    return min(max(asked, 1 - MOST), MOST)
