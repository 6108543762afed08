"""Columns that know the target, and rows that would be on both sides of a split; each with its evidence.

A severity is a distance in standard errors: of an area under the curve as J. Hanley and B. McNeil give it (Radiology 143, 1982),
of a share as a binomial, of a gap between two ways to split over the folds. What is above `MIN_SEVERITY` is told.
"""

import math
import re
from collections.abc import Iterator

import numpy as np
import pandas as pd

from hardcover.errors import some
from hardcover.inspection.column_leaks import MIN_SEVERITY, Leak, Reasons
from hardcover.inspection.columns import Column
from hardcover.inspection.questions import Question
from hardcover.inspection.skill import FOLDS
from hardcover.inspection.table import Table


def find(table: Table, described: list[Column], target: str, question: Question) -> Iterator[Leak]:
    """Return the leaks of a table towards a target, columns first."""
    if question.task is None:
        return
    rows = Reasons(table, described, target, question)
    found: dict[str, Leak] = {}
    for column in described:
        # One value alone tells nothing, unless where it is missing tells all.
        if column.name == target or (column.role in {"constant", "not usable"} and not column.missing):
            continue
        leak = rows.leak_of(column)
        if leak:
            found[column.name] = leak
    found |= _better_than_all_others(rows, found)
    found |= _siblings(rows, found)
    yield from sorted(found.values(), key=lambda leak: -leak.severity)
    yield from _of_rows(rows, question, set(found))


def _better_than_all_others(rows: Reasons, found: dict[str, Leak]) -> dict[str, Leak]:
    """Return columns that know nearly all by themselves and err at most half as much as all others together."""
    accused: dict[str, Leak] = {}
    kept = [column for column in rows.usable() if column.name not in found]
    if rows.task == "multiclass" or len(kept) < 2 or len(rows.y) < 100:
        return accused
    for column in sorted(kept, key=lambda c: -rows.alone(c)[0])[:3]:
        skill, error = rows.alone(column)
        if skill < 0.9:
            break
        rest = [other for other in kept if other is not column]
        together, error_together = rows.skill_of(rows.answers_of(rest))
        severity = (skill - together) / math.hypot(error, error_together)
        if severity > MIN_SEVERITY and 1 - skill < 0.5 * (1 - together):
            accused[column.name] = Leak(
                column.name,
                "predicts alone",
                severity,
                f"its skill alone is {skill:.2f}, that of all others together {together:.2f} ± {error_together:.2f}",
            )
    return accused


def _siblings(rows: Reasons, found: dict[str, Leak]) -> dict[str, Leak]:
    """Return flags that stand between or beside accused flags and are named like them."""
    names = list(rows.columns)
    flags = [name for name in names if rows.columns[name].role == "boolean" and name != rows.target]
    accused = [name for name in flags if name in found]
    result: dict[str, Leak] = {}
    for name in flags:
        alike = [other for other in accused if _shape(other) == _shape(name)]
        near = any(abs(names.index(name) - names.index(other)) == 1 for other in [*alike, *result])
        if name not in found and len(alike) >= 2 and near:
            severity = min(found[other].severity for other in alike)
            result[name] = Leak(
                name,
                "sibling",
                severity,
                f"beside {some(alike)} and named like them, which know the target",
            )
    return result


def _of_rows(rows: Reasons, question: Question, accused: set[str]) -> Iterator[Leak]:
    """Return what rows have in common that a random split would put on both sides."""
    yield from _duplicates(rows)
    used = [column for column in rows.usable() if column.name not in accused and column.role != "entity"]
    if rows.task == "multiclass" or len(rows.y) < 200 or not used:
        return
    if question.entity:
        groups = pd.factorize(rows.frame[question.entity].fillna(""))[0]
        yield from _gap(rows, used, groups % FOLDS, question.entity, "entity", "rows of one on both sides")
    if question.time:
        order = pd.factorize(rows.frame[question.time].fillna(""), sort=True)[0]
        blocks = (np.argsort(np.argsort(order, kind="stable"), kind="stable") * FOLDS) // max(len(order), 1)
        used = [column for column in used if column.name != question.time]
        if used:
            yield from _gap(rows, used, blocks, question.time, "time", "the future in training")


def _gap(
    rows: Reasons, used: list[Column], fold: np.ndarray, name: str, kind: str, what: str
) -> Iterator[Leak]:
    if len(np.unique(fold)) < 2:
        return
    at_random, honest = (rows.skill_of(rows.answers_of(used, fold=each)) for each in (None, fold))
    severity = (at_random[0] - honest[0]) / math.hypot(at_random[1], honest[1])
    if severity > MIN_SEVERITY:
        yield Leak(
            name,
            kind,
            severity,
            f"{what}: a random split shows a skill of {at_random[0]:.2f}, one by {name} {honest[0]:.2f}",
        )


def _duplicates(rows: Reasons) -> Iterator[Leak]:
    inputs = [
        name for name in rows.frame.columns if name != rows.target and rows.columns[name].role not in {"id"}
    ]
    if len(inputs) < 3:
        return
    (again,) = rows.table.connection.execute(
        "select count(*) - (select count(*) from (select distinct "
        + ", ".join(f"c{rows.table.columns.index(n)}" for n in [*inputs, rows.target])
        + " from cells)) from cells"
    ).fetchone() or (0,)
    # Two rows agree in a column as often as its values' shares, squared, add up to; few columns coincide by chance.
    shares = [rows.frame[name].value_counts(normalize=True, dropna=False) for name in [*inputs, rows.target]]
    expected = (
        rows.table.rows * (rows.table.rows - 1) / 2 * math.prod(float((share**2).sum()) for share in shares)
    )
    severity = (again - expected) / math.sqrt(max(expected, 1))
    if again > 0 and severity > MIN_SEVERITY and all(rows.columns[n].distinct > 1 for n in inputs):
        yield Leak(
            "rows",
            "duplicates",
            severity,
            f"{again:,} rows come again with the same values; both sides of a random split would have them",
        )


def _shape(name: str) -> str:
    """Return how a name is written: its kinds of letters and its length."""
    return re.sub(r"[a-z]+", "a", re.sub(r"[A-Z]", "A", re.sub(r"\d", "1", name)))
