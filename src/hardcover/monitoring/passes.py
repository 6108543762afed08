"""One pass over a case: what `cycle` does, with all that needs pandas and a catalog."""

import copy
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from hardcover.lineage import git_state
from hardcover.monitoring import answers, coverage, feed, fresh, labels, metrics, watch
from hardcover.monitoring.answers import KEY, LABELS, SERVED
from hardcover.monitoring.cycle import WATCH
from hardcover.monitoring.known import Known
from hardcover.monitoring.reference import Reference, champion
from hardcover.monitoring.succession import Succession
from hardcover.project.context import open_context
from hardcover.project.parameters import nested
from hardcover.release import in_use, publish

# What of a case's parameters a pass goes by.
OPTIONS = ("confidence", "costs", "monitoring", "promotion", "training")


class Pass:
    """A pass, step by step; `commit` keeps what was seen so far.

    Parameters
    ----------
    case
        The case.
    state
        That after the pass before, which is not changed; None before the first.
    conf
        ``OPTIONS`` of ``conf/``.
    pointer
        The champion's.
    now
        The time, UTC.
    catalog
        Where versions are kept; None where none are.
    find
        As `Succession` takes it.
    """

    def __init__(
        self,
        case: str,
        state: dict | None,
        conf: dict,
        pointer: dict,
        now: pd.Timestamp,
        catalog: Any = None,
        find: Callable[[str], dict] | None = None,
    ):
        self._find = find
        self.case, self.now, self._catalog, self._before = case, now, catalog, state
        self.state = copy.deepcopy(state) if state else watch.begin(case)
        self._conf = {name: conf[name] for name in OPTIONS if name in conf}
        self.state |= {"passes": self.state["passes"] + 1, "now": now.isoformat(), "conf": self._conf}
        self._read: dict[str, list[str]] = {SERVED: [], LABELS: []}
        self._labelled: tuple[pd.DataFrame, np.ndarray] | None = None
        self._champion = Reference(pointer, conf["costs"])

    @classmethod
    def of(
        cls, case: str, state: dict | None, env: str | None, params: dict[str, Any], now: datetime
    ) -> "Pass":
        """Begin a pass by the project's ``conf/``, after what the one before left unfinished."""
        context = open_context(env, {case: nested(params)} if params else None)
        if state is not None:
            state = copy.deepcopy(state)
            _finish_promotion(state)
        catalog: Any = context.catalog
        return cls(case, state, context.params[case], champion(case), pd.Timestamp(now), catalog)

    def look(self, until: dict[str, list[str]] | None = None) -> dict[str, Any]:
        """Take in new answers and labels; returns how many there were.

        Parameters
        ----------
        until
            The versions that are known, oldest first; None: all.
        """
        taken, until = (
            self.state["taken"],
            until or {name: answers.known(self.case, name) for name in (SERVED, LABELS)},
        )
        new = {name: [each for each in until[name] if each not in set(taken[name])] for name in taken}
        watching = watch.Watch(self.state, self._champion, self._conf["monitoring"])
        table = answers.read(self.case, SERVED, new[SERVED])
        skipped, kept = {"twice": 0, "future": 0}, table
        if len(table):
            known = answers.read(self.case, SERVED, taken[SERVED], KEY)[KEY]
            kept, skipped = answers.fresh(table, known, self.now)
            watching.see(kept, answers.inputs(kept, self._champion))
        before = labels.newest(self.case, taken[LABELS])
        for name in taken:
            taken[name] = taken[name] + new[name]
        told = self._learn(watching, before, set(new[LABELS]), kept)
        self._read = new
        self.state = watching.close(self.now)
        self.succession.see(self._labelled)
        # What a new model would save is counted from the last one on.
        was_trained = any(
            (each["kind"], each["pass"]) == ("train", self.state["passes"] - 1)
            for each in self.state["decisions"]
        )
        known = Known(self._champion, self._labelled, before, taken[SERVED])
        self.state["fresh"] = fresh.seen(None if was_trained else self.state.get("fresh"), known, self._conf)
        covered = coverage.seen(self.state.get("coverage"), known, self._conf, self.state["passes"])
        self.state["coverage"] = covered
        self.state["wants"] = self._asks_for_training()
        self.state["untracked"] = metrics.untracked(self._before, self.state)
        return {"rows": len(kept), "labels": told, "skipped": skipped}

    def _learn(
        self, watching: watch.Watch, before: pd.DataFrame, fresh: set[str], new_rows: pd.DataFrame
    ) -> int:
        """Take in labels that are new, and those that came before their answers did."""
        now = labels.newest(self.case, self.state["taken"][LABELS])
        now = now.merge(before[[*KEY, "target"]], on=KEY, how="left", suffixes=("", "_before"))
        waiting = (
            pd.MultiIndex.from_frame(now[KEY]).isin(pd.MultiIndex.from_frame(new_rows[KEY]))
            if len(new_rows)
            else False
        )
        wanted = now[now["version"].isin(fresh) | waiting].drop(columns="version")
        wanted.loc[np.broadcast_to(waiting, len(now))[wanted.index], "target_before"] = np.nan
        if wanted.empty:
            return 0
        rows = answers.find(self.case, self.state["taken"][SERVED], wanted)
        # What is said to be from the future is no answer yet.
        rows = rows[pd.to_datetime(rows["time"]) <= self.now].reset_index(drop=True) if len(rows) else rows
        if rows.empty:
            return 0
        inputs = answers.inputs(rows, self._champion)
        first = rows["target_before"].to_numpy(dtype=np.float64)
        watching.learn(rows, inputs, rows["target"].to_numpy(dtype=np.float64), first)
        self._labelled = (rows[np.isnan(first)], inputs[np.isnan(first)])
        return len(rows)

    def commit(self) -> str | None:
        """Keep the state as a version, if it differs from what was kept last; returns the version."""
        self.state["due"] = feed.due(self.state, self._conf["monitoring"])
        if self.state == self._before:
            return None
        self._catalog.in_run = True
        self._catalog.save(f"{self.case}.{WATCH}", self.state)
        inputs = {f"{self.case}.{name}": {"version": new[-1]} for name, new in self._read.items() if new}
        facts = {
            "node": "cycle",
            "face": "service",
            "inputs": inputs,
            "wheel": self.state["wheel"],
            "pass": self.state["passes"],
            **git_state.describe(),
        }
        manifests = self._catalog.commit(lambda _: facts)
        self._before = copy.deepcopy(self.state)
        return manifests[f"{self.case}.{WATCH}"]["version"]

    def track(self) -> None:
        """Tell the tracking store what windows have become; raises HardcoverError when it does not answer."""
        metrics.track(self.state, self._champion.pointer.get("run"))

    def note_told(self, told: list[dict]) -> None:
        """Remember that events were told."""
        self.state["told"] += [each["event_id"] for each in told]

    def _asks_for_training(self) -> dict[str, Any] | None:
        """Return why a new model is asked for: ``id`` and ``why``; None where nothing asks for one."""
        options, state = self._conf["monitoring"]["retrain"], self.state
        trained = [each for each in state["decisions"] if each["kind"] == "train"]
        last, since = max((each["at"] for each in trained), default=""), state["since"] or "none"
        mine = [window for window in state["windows"] if window["begin"] >= since]
        passed = len({window["begin"] for window in mine if window["begin"] > last})
        if self._is_held_back(options["hold"]):
            return None
        now = self.now.isoformat()
        # What it would have saved since the last one has paid for the next.
        if saving := self._saves():
            return {"id": f"saving {now}", "why": saving}
        if trained and passed < options["wait"]:
            return None
        asked = Counter(each["reason"] for each in trained)
        before = {each["id"] for each in self._before["episodes"]} if self._before else set()
        for each in state["episodes"]:
            # One that came and went since the pass before asks too; one that lasts asks again, each time after twice as long.
            asks = each["until"] is None or each["id"] not in before
            times = asked[each["id"]]
            if (
                asks
                and each["wheel"] == state["wheel"]
                and each["test"] in options["after"]
                and (not times or passed >= options["wait"] * 2**times)
                and self._pays(each, options["horizon"])
            ):
                return {"id": each["id"], "why": f"{each['test']} since {each['since'][:16]}"}
        if options["every"] and passed >= options["every"]:
            return {"id": f"schedule {now}", "why": f"{options['every']} windows since the last one"}
        labelled = sum(window["labelled"]["rows"] for window in mine)
        if options["labels"] and labelled >= options["labels"] and last < since:
            return {"id": f"labels {now}", "why": f"{labelled} labels since the champion came"}
        return None

    def _saves(self) -> str:
        """Return what a new model would have saved, in words, if that is what it costs; else nothing."""
        known, costs = self.state.get("fresh"), self._conf["costs"]
        if not known or "retrain" not in costs or known["saved"] < costs["retrain"]:
            return ""
        unit = costs.get("unit", "of the costs")
        saved = f"{known['saved']:.4g} {unit} on {known['rows']} rows since {known['since'][:16]}"
        return f"a new model would have saved {saved}; it costs {costs['retrain']:.4g}"

    def _pays(self, episode: dict[str, Any], horizon: int) -> bool:
        """Check whether what is wrong may cost more, within so many windows, than a new model does; that is not so is said once."""
        price, loss = self._conf["costs"].get("retrain"), episode["loss"]
        if price is None or not loss:
            return True
        mine = [window["rows"] for window in self.state["windows"] if window["wheel"] == episode["wheel"]]
        saved = loss["more"] * float(np.mean(mine[-horizon:])) * horizon
        if saved > price:
            return True
        unit = loss["unit"]
        why = (
            f"{saved:.4g} {unit} in {horizon} windows at most is what a new model saves; it costs {price:.4g}"
        )
        self._say_once({"kind": "wait", "reason": episode["id"], "why": why})
        return False

    def _say_once(self, decision: dict[str, Any]) -> None:
        said = {(each["kind"], each.get("reason")) for each in self.state["decisions"]}
        if (decision["kind"], decision["reason"]) not in said:
            self.succession.decide(decision)

    def _is_held_back(self, windows: int) -> bool:
        """Check whether inputs are broken, and have not been for long: a model would learn from them. Said once."""
        state = self.state
        for each in state["episodes"]:
            if each["until"] is not None or not each["broken"] or each["wheel"] != state["wheel"]:
                continue
            since = {window["begin"] for window in state["windows"] if window["begin"] >= each["since"]}
            if len(since) > windows:
                continue
            why = f"a new model would learn from broken inputs: {each['why'][0]}"
            self._say_once({"kind": "hold", "reason": each["id"], "why": why})
            return True
        return False

    @property
    def wants(self) -> dict[str, Any] | None:
        """Why a new model is to be trained now: ``id`` and ``why``; None where none is."""
        # What a champion was blamed for is over when another one has taken its place.
        pointer = publish.current(self.case)
        return self.state["wants"] if pointer and pointer["wheel"] == self.state["wheel"] else None

    def contest(self, run: dict[str, Any]) -> None:
        """Compare the new model of a run with the champion, on what neither has learned from."""
        self.succession.begin(run)

    @property
    def succession(self) -> Succession:
        """Who could take the champion's place."""
        return Succession(self.state, self._champion, self._conf, self.now, self._find)

    def conclude(self) -> None:
        """Decide what follows from the comparisons, and do it."""
        if self.succession.conclude() is not None:
            # What is decided is on the disk before anything follows it, so that who is killed here can go on.
            self.commit()
            _finish_promotion(self.state)


def _finish_promotion(state: dict[str, Any]) -> None:
    """Let services' pointer and the registry's alias follow what was decided, or done by hand, where that was not finished."""
    wheel, pointer, known = state["promoting"], publish.current(state["case"]), state["wheel"]
    if wheel is None and (pointer is None or known in (None, pointer["wheel"])):
        return
    if wheel is not None and (pointer is None or pointer["wheel"] != wheel):
        in_use.promote(state["case"], wheel, "cycle")
    elif pointer is not None:
        in_use.agree(pointer)
    state["promoting"] = None
