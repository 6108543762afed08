"""What a new model would have saved: one is trained at each pass on all that was known before, and held against the champion on what became known since.

Nothing is served by it. A new model costs something each time, and a champion that ages costs more with each row than a new one would. Where that extra grows evenly, price and extra add up to least when a
new model comes as soon as the extra has become its price. What was saved is never taken to be below 0: rows on which the champion was better are no reason to wait later (as in the sum of Page, "Continuous inspection schemes", Biometrika 1954).
"""

from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd

from hardcover.ingest.splits import PARTS
from hardcover.modelling import training
from hardcover.monitoring import answers
from hardcover.monitoring.answers import KEY
from hardcover.monitoring.reference import Reference
from hardcover.tasks import Rows


def seen(
    before: dict[str, Any] | None,
    champion: Reference,
    conf: dict[str, Any],
    labelled: tuple[pd.DataFrame, np.ndarray] | None,
    known: pd.DataFrame,
    served: list[str],
) -> dict[str, Any] | None:
    """Return what a new model would have saved, with the labels of one more pass.

    Parameters
    ----------
    before
        As this returned it after the pass before; None to begin.
    champion, conf
        The champion, and ``costs``, ``monitoring`` and ``training`` of ``conf/``.
    labelled
        Answers whose labels are new, with ``time`` and ``target``, and their inputs; None where there are none.
    known, served
        The labels that were known before, and the versions of answers.

    Returns
    -------
    dict or None
        ``wheel``, the champion's, ``since`` when, how many ``rows``, and what was ``saved`` on them, in the unit of the costs, since the last new model was asked for; None
        where nothing says what one costs, or nothing is known yet.
    """
    wheel, most = champion.pointer["wheel"], conf["monitoring"]["retrain"].get("fresh", 0)
    before = before if before and before["wheel"] == wheel else None
    if labelled is None or not most or "retrain" not in conf["costs"]:
        return before
    rows, inputs = labelled
    # The champion has learned from those before.
    later = np.ones(len(rows), dtype=bool) if _newest(champion) is None else rows["time"] > _newest(champion)
    rows, inputs = rows[later], inputs[later]
    if rows.empty:
        return before
    model = _trained(champion, *_since(champion, known, served, most), conf["training"], most)
    target = rows["target"].to_numpy(dtype=np.float64)
    theirs = champion.losses(target, np.asarray(model.predict(inputs)))
    saved = float((champion.losses(target, champion.scored(inputs).score) - theirs).sum())
    before = before or {"wheel": wheel, "since": rows["time"].min().isoformat(), "rows": 0, "saved": 0.0}
    return {**before, "rows": before["rows"] + len(rows), "saved": max(0.0, before["saved"] + saved)}


def _newest(champion: Reference) -> pd.Timestamp | None:
    found = champion.features_when.max()
    return None if pd.isna(found) else found


def _since(
    champion: Reference, known: pd.DataFrame, served: list[str], most: int
) -> tuple[np.ndarray, np.ndarray, pd.Series]:
    """Return inputs, targets and times of the newest answers that the champion has not learned from, and of which labels were known."""
    rows = answers.find(champion.pointer["case"], served, known) if len(known) else known.assign(time=pd.NaT)
    if (newest := _newest(champion)) is not None:
        rows = rows[rows["time"] > newest]
    rows = rows.sort_values(["time", *KEY], ignore_index=True).tail(most)
    width = len(champion.model.inputs)
    inputs = answers.inputs(rows, champion) if len(rows) else np.empty((0, width))
    return inputs, rows["target"].to_numpy(dtype=np.float64), rows["time"]


def _trained(
    champion: Reference,
    inputs: np.ndarray,
    target: np.ndarray,
    when: pd.Series,
    options: dict[str, Any],
    most: int,
) -> lgb.Booster:
    """Train a model as the champion was, on its rows, all of them, and on more; on the newest ``most``."""
    own = training.rows_of(champion.features, champion.plan, champion.task)
    used = champion.features["split"].isin(PARTS)
    times = pd.concat([champion.features_when[used], when], ignore_index=True)
    # A row without a time is older than all that have one.
    newest = np.argsort(times.fillna(pd.Timestamp.min).to_numpy(), kind="stable")[-most:]
    rows = Rows(np.concatenate([own.inputs, inputs]), np.concatenate([own.target, target])).take(newest)
    rounds = champion.rounds - (options["recent_rounds"] if options["recent"] else 0)
    parts = max(1, rounds), champion.plan, options, champion.task
    return training.anew(rows, times.iloc[newest].reset_index(drop=True), *parts)
