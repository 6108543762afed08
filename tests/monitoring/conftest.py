"""A released wheel, the service that logs what it answers, and a place in which the loop runs."""

import logging
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pytest

from hardcover.monitoring import cycle, labels, replay
from hardcover.project.context import open_context
from tests.conftest import ROOT, Place, Run, once
from tests.serving.conftest import app, release, wheel

__all__ = ["app", "release", "wheel"]
CASE, BEGIN = "maintenance", pd.Timestamp("2026-03-02")


class Loop(NamedTuple):
    """The main case in a place of its own, with days that go by."""

    place: Place
    holdout: pd.DataFrame

    def rows(self, day: int, count: int, **changed: Any) -> pd.DataFrame:
        """Draw rows of the holdout that are asked about on a day, with some columns changed: by a number, or a function."""
        rows = self.holdout.sample(count, replace=True, random_state=day).reset_index(drop=True)
        for name, change in changed.items():
            rows[name] = change(rows[name]) if callable(change) else rows[name] + change
        at = BEGIN + day * replay.DAY + pd.to_timedelta(range(count), unit="s")
        return rows.assign(**{replay.AT: at, replay.ID: [f"day{day}-{number}" for number in range(count)]})

    def serve(self, rows: pd.DataFrame) -> None:
        replay.answer(CASE, rows, open_context("ci", None).catalog)

    def label(self, rows: pd.DataFrame, days: int = 1) -> dict:
        """Let labels come days later, through a file."""
        file = self.place.folder / "labels.csv"
        known = rows[replay.AT] + days * replay.DAY
        rows[[replay.ID, "failure"]].set_axis(["id", "failure"], axis=1).assign(known=known).to_csv(
            file, index=False
        )
        return labels.take(CASE, [file], "ci")

    def cycle(self, day: float, **options: Any) -> dict:
        """Do a pass at the beginning of a day."""
        return cycle.cycle(CASE, env="ci", now=(BEGIN + day * replay.DAY).to_pydatetime(), **options)


@pytest.fixture
def loop(notebook_run, tmp_path, monkeypatch) -> Loop:
    folder = shutil.copytree(notebook_run.place.folder, tmp_path / "place")
    return looped(Place(folder), monkeypatch)


def looped(place: Place, monkeypatch: Any) -> Loop:
    """Let this process work in a place."""
    for name, value in place.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(logging, "raiseExceptions", False)
    clean = pd.read_parquet(place.newest("03_primary", "clean.parquet"))
    return Loop(place, clean[clean["split"] == "holdout"].drop(columns="split"))


def alerts_told(place: Place) -> list[str]:
    """Return the lines of the file of alerts."""
    file = Path(place.data) / "08_reporting" / CASE / "alerts.jsonl"
    return file.read_text().splitlines() if file.exists() else []


def changed(rows: pd.DataFrame) -> pd.DataFrame:
    """Let machines fail by another rule than the one that was learned: heavy work on cool days."""
    return rows.assign(failure=((rows["torque"] > 48) & (rows["air_temperature"] < 301)).astype("Int64"))


@pytest.fixture(scope="session")
def retrained(notebook_run, tmp_path_factory) -> Run:
    """The main case after a pass that found harm, trained a new model, and promoted it."""

    def make(folder: Path) -> dict:
        shutil.copytree(notebook_run.place.folder, folder, dirs_exist_ok=True)
        with pytest.MonkeyPatch.context() as patch:
            here = looped(Place(folder), patch)
            patch.setenv("HARDCOVER_RUN_PROVE", "yes")
            for day in range(3):
                rows = changed(here.rows(day, 300))
                here.serve(rows)
                here.label(rows)
            # What the new model learns from: rows of later days, as they became known.
            newer = pd.read_parquet(Place(folder).newest("03_primary", "clean.parquet"))
            newer = changed(newer.drop(columns="split"))
            moved = BEGIN - newer["measured_at"].min().floor("D")
            file = folder / "newer.parquet"
            newer.assign(
                measured_at=newer["measured_at"] + moved, received_at=newer["received_at"] + moved
            ).to_parquet(file)
            return here.cycle(5, data=(str(file),))

    folder, said = once(tmp_path_factory, "retrained", make)
    return Run(Place(folder), said)
