"""The loop, day after day, over data with time: what two years would have been, by the commands that production uses."""

import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from hardcover.errors import DataError
from hardcover.lineage import git_state
from hardcover.monitoring import answers, cycle, labels
from hardcover.monitoring.answers import LABELS, SERVED
from hardcover.monitoring.reference import Reference, champion
from hardcover.project import cases
from hardcover.project.context import open_context
from hardcover.release import in_use, publish
from hardcover.reporting.progress import Reporter, silent
from hardcover.serving.release import SEEN

DAY = pd.Timedelta(days=1)
# Beside the case's own columns: when a row is asked about, and under which id.
AT, ID = "asked.at", "asked.id"


class Plan(NamedTuple):
    """What is replayed.

    Attributes
    ----------
    days
        How many the data is taken for; 0: as many as it spans.
    learn
        Of them, the first ones, which the first champion learns from.
    step
        Days between two passes of the loop.
    delay
        Days after which a label is known.
    recent
        Days before a pass which new models learn from; 0: all.
    rollback
        Day on which the champion is rolled back by hand, if there is one to go back to; 0: none.
    """

    days: int = 0
    learn: int = 180
    step: int = 7
    delay: int = 7
    recent: int = 0
    rollback: int = 0


def replay(
    case: str,
    plan: Plan,
    data: list[str],
    params: dict[str, Any],
    env: str | None = None,
    say: Reporter = silent,
) -> dict[str, Any]:
    """Replay a case, in the data folder that the settings name.

    Parameters
    ----------
    case, env
        The case, and a folder of ``conf/``.
    plan
        What is replayed, and how.
    data
        Raw files; empty: what ``conf/`` names.
    params
        Overrides by dotted name below the case; without raw files, besides those that ``simulate`` of ``conf/`` has.

    Returns
    -------
    dict
        The ``case``, its ``days`` and ``rows``, the loop's ``state`` at the end (`watch.begin`), and ``history``, how the champion changed.

    Raises
    ------
    DataError
        When rows have no time, the first champion has nothing to learn from, or features look at the past, which would be elsewhere if time went by at another pace.
    """
    cases.check(case)
    if not data:
        params = {**open_context(env, None).params[case].get("simulate", {}), **params}
    say("reading all rows")
    cycle.run(case, data, params, env, "read all rows", "--stage", "data", "features")
    catalog: Any = open_context(env, None).catalog
    plan_of_features = catalog.load(f"{case}.feature_plan")
    clean = catalog.load(f"{case}.clean")
    if plan_of_features.get("windows"):
        # What the past held for each row is what a service would have seen: replay is proven equal to it.
        clean = clean.join(
            catalog.load(f"{case}.features")[plan_of_features["inputs"]].add_prefix(f"{SEEN}.")
        )
    look_back = f"the features of {case!r} look at the past" if plan_of_features.get("windows") else ""
    rows, days = _in_days(clean, plan_of_features["roles"], plan.days, look_back)
    if not plan.learn < days:
        raise DataError(
            f"the data spans {days} days", f"case {case!r}", f"Learn from fewer than {plan.learn} of them."
        )
    begin = rows[AT].iloc[0].floor("D")
    with tempfile.TemporaryDirectory(prefix="hardcover-replay-") as scratch:
        folder = Path(scratch)
        file = _learned(rows, begin, plan, plan.learn + plan.delay, folder)
        say(f"day {plan.learn}: training the first champion")
        cycle.run(case, [file], params, env, "train the first champion")
        rolled_back = False
        for day in range(plan.learn, days, plan.step):
            until = min(day + plan.step, days)
            now = begin + until * DAY
            part = rows[(rows[AT] >= begin + day * DAY) & (rows[AT] < now)]
            answer(case, part, catalog)
            known = now - plan.delay * DAY
            late = rows[
                (rows[AT] >= max(known - plan.step * DAY, begin + plan.learn * DAY)) & (rows[AT] < known)
            ]
            _label(case, late, plan_of_features, plan.delay, env, catalog)
            found = cycle.cycle(
                case,
                data=(_learned(rows, begin, plan, until, folder),),
                env=env,
                params=params,
                now=now.to_pydatetime(),
                say=lambda text, transient=False, until=until: say(f"day {until}: {text}", transient=True),
            )
            for each in [*found["events"], *found["decisions"]]:
                say(
                    f"day {until}: {each.get('event') or each['kind']} {each.get('what') or each.get('outcome') or each.get('why')}"
                )
            if plan.rollback and not rolled_back and until >= plan.rollback:
                rolled_back = _roll_back(case, say, until)
    state = cycle.newest_state(case)
    return {"case": case, "days": days, "rows": len(rows), "state": state, "history": publish.history(case)}


def _in_days(clean: pd.DataFrame, roles: dict, days: int, at_own_pace: str = "") -> tuple[pd.DataFrame, int]:
    """Return rows in the order of time, with `AT`, when they are served, and an `ID`; and how many days that takes. Where ``at_own_pace`` says why they must keep theirs, another is refused."""
    time = roles.get("time")
    if time is None or clean[time].isna().all():
        fix = "Say in the schema which column is the time, or bring rows that have one."
        raise DataError("rows without a time cannot be replayed", "the schema", fix)
    rows = clean[clean[time].notna()].sort_values(
        [time, *([roles["key"]] if "key" in roles else [])], kind="stable"
    )
    since = rows[time] - rows[time].iloc[0].floor("D")
    span = since.iloc[-1] + pd.Timedelta(microseconds=1)
    stretch = days * DAY / span if days and abs(days * DAY - span) > DAY else 1.0
    if at_own_pace and stretch != 1.0:
        what = f"the data does not span {days} days, and {at_own_pace}"
        raise DataError(what, "--days", "Leave --days out, or bring data that does.")
    at = rows[time].iloc[0].floor("D") + (since * stretch).dt.floor("us")
    days = days or int(-(-span // DAY))
    named = {AT: at, ID: [f"r{number}" for number in range(len(rows))]}
    return rows.assign(**named).reset_index(drop=True), days


def _learned(rows: pd.DataFrame, begin: pd.Timestamp, plan: Plan, day: int, folder: Path) -> str:
    """Write what a model can learn from on a day: rows whose labels are known."""
    known = begin + (day - plan.delay) * DAY
    since = known - plan.recent * DAY if plan.recent else begin
    mine = rows[(rows[AT] < known) & (rows[AT] >= since)]
    file = folder / f"until-day-{day}.parquet"
    added = [AT, ID, "split", *(name for name in mine if name.startswith(f"{SEEN}."))]
    mine.drop(columns=added).to_parquet(file)
    return str(file)


def answer(case: str, rows: pd.DataFrame, catalog: Any) -> None:
    """Answer rows with the champion, and save that as a service's log is saved.

    Parameters
    ----------
    case, catalog
        The case, and the project's catalog.
    rows
        Clean rows, with `AT`, when each is answered, and an `ID`; where features look at the past, with ``seen.NAME``, the model's inputs.
    """
    if rows.empty:
        return
    reference = Reference(champion(case), {})
    asked = {f"input.{name}": _logged(rows[name]) for name in reference.release.fields}
    if reference.release.has_windows:
        asked |= {name: rows[name].astype("float64") for name in reference.release.seen}
    score = reference.scored(answers.inputs(pd.DataFrame(asked), reference)).score
    label = reference.labels(score)
    classes = reference.decision.get("classes")
    table = pd.DataFrame(
        {
            "time": rows[AT].astype("datetime64[us]"),
            "id": rows[ID],
            "row": 0,
            "release": reference.version,
            "digest": reference.release.digest,
            "score": score if score.ndim == 1 else score[np.arange(len(score)), label.astype(int)],
            "label": [classes[int(each)] for each in label]
            if classes
            else [str(bool(each)) for each in label] or None,
            **asked,
        }
    )
    _save(catalog, f"{case}.{SERVED}", table)


def _logged(column: pd.Series) -> pd.Series:
    """Return a column as a log has it: numbers and texts."""
    if pd.api.types.is_numeric_dtype(column):
        return column.astype("float64")
    return column if column.dtype == "str" else column.astype("str").where(column.notna())


def _label(case: str, rows: pd.DataFrame, plan: dict, delay: int, env: str | None, catalog: Any) -> None:
    if rows.empty:
        return
    task = labels.task_of(case, env)
    target = task.codes(rows[plan["roles"]["target"]], task.classes(plan["classes"] or None))
    table = pd.DataFrame(
        {
            "id": rows[ID],
            "row": 0,
            "target": target,
            "known": (rows[AT] + delay * DAY).astype("datetime64[us]"),
        }
    )
    _save(catalog, f"{case}.{LABELS}", table)


def _save(catalog: Any, name: str, table: pd.DataFrame) -> None:
    catalog.in_run = True
    catalog.save(name, table)
    catalog.commit(lambda _: {"node": "replay", "face": "service", "inputs": {}, **git_state.describe()})


def _roll_back(case: str, say: Reporter, day: int) -> bool:
    if len(publish.line_of(publish.history(case))) < 2:
        return False
    found = in_use.roll_back(case)
    say(f"day {day}: rolled back to {found['wheel']}, as asked")
    return True
