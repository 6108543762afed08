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
from hardcover.monitoring.known import Known, Labelled
from hardcover.monitoring.reference import Reference
from hardcover.tasks import Rows


def seen(before: dict[str, Any] | None, known: Known, conf: dict[str, Any]) -> dict[str, Any] | None:
    """Return what a new model would have saved, with the labels of one more pass.

    Parameters
    ----------
    before
        As this returned it after the pass before; None to begin.
    known
        The answers whose labels are known.
    conf
        ``costs``, ``monitoring`` and ``training`` of ``conf/``.

    Returns
    -------
    dict or None
        ``wheel``, the champion's, ``since`` when, how many ``rows``, and what was ``saved`` on them, in the unit of the costs, since the last new model was asked for; None
        where nothing says what one costs, or nothing is known yet.
    """
    champion, new = known.champion, known.new
    before, most = known.kept(before), conf["monitoring"]["retrain"].get("fresh", 0)
    if new is None or not most or "retrain" not in conf["costs"]:
        return before
    model = _trained(champion, known.before(most), conf["training"], most)
    theirs = champion.losses(new.target, np.asarray(model.predict(new.inputs)))
    saved = float((champion.losses(new.target, known.new_score) - theirs).sum())
    wheel = champion.pointer["wheel"]
    before = before or {"wheel": wheel, "since": new.when.min().isoformat(), "rows": 0, "saved": 0.0}
    return {**before, "rows": before["rows"] + len(new.target), "saved": max(0.0, before["saved"] + saved)}


def _trained(champion: Reference, more: Labelled, options: dict[str, Any], most: int) -> lgb.Booster:
    """Train a model as the champion was, on its rows, all of them, and on more; on the newest ``most``."""
    own = training.rows_of(champion.features, champion.plan, champion.task)
    used = champion.features["split"].isin(PARTS)
    times = pd.concat([champion.features_when[used], more.when], ignore_index=True)
    # A row without a time is older than all that have one.
    newest = np.argsort(times.fillna(pd.Timestamp.min).to_numpy(), kind="stable")[-most:]
    rows = Rows(np.concatenate([own.inputs, more.inputs]), np.concatenate([own.target, more.target]))
    rounds = champion.rounds - (options["recent_rounds"] if options["recent"] else 0)
    parts = max(1, rounds), champion.plan, options, champion.task
    return training.anew(rows.take(newest), times.iloc[newest].reset_index(drop=True), *parts)
