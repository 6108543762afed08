"""Splits of rows into train, validation and holdout, by a policy that ``conf/`` names and that is checked never to leak.

``auto``
    By entity where rows name one, else stratified where the task has classes, else random. Where some rows name none, these
    are split as rows.
``random``, ``stratified``
    By chance; each class in the same shares.
``entity``
    All rows of an entity in one part.
``time``
    Training before validation before holdout, and ``gap`` days between them, for labels that arrive late.
``entity_time``
    Both: the holdout has entities and times that training has not seen. Rows that fit neither are left ``unused``.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd

from hardcover.errors import DataError, UnknownName

PARTS = ("train", "validation", "holdout")
UNUSED = "unused"
# Rows that tables of lookups are fitted on, and no model.
EARLIER = "earlier"
POLICIES = ("auto", "random", "stratified", "entity", "time", "entity_time")


def assign(
    rows: pd.DataFrame, roles: dict[str, str], split: dict, has_classes: bool
) -> tuple[pd.Series, str]:
    """Assign each row to a part.

    Parameters
    ----------
    rows
        Clean rows with a unique index.
    roles
        The columns by role, of which ``entity``, ``query``, ``time`` and ``target`` matter.
    split
        ``by``, a policy; ``validation`` and ``holdout``, their shares; ``seed``; ``gap``, in days.
    has_classes
        Whether the target has classes, whose shares can be kept.

    Returns
    -------
    tuple
        The part of each row, and in words what it was split by.

    Raises
    ------
    UnknownName
        When there is no such policy.
    DataError
        When the policy needs a role that no column has, or a part gets no row.
    """
    policy = split["by"]
    if policy not in POLICIES:
        raise UnknownName("split", policy, POLICIES, "split.by in conf/")
    # Rows of a query are ranked against each other, so they stay together like those of an entity.
    entity = roles.get("query") or roles.get("entity")
    needed = {"entity": [entity], "time": [roles.get("time")], "entity_time": [entity, roles.get("time")]}
    if None in needed.get(policy, []):
        fix = f"Give a column of the schema the role that {policy!r} needs, or choose another split.by."
        raise DataError(f"a split by {policy} needs a column that no role names", "split.by in conf/", fix)
    by_rows = _stratified if has_classes and policy != "random" else _random
    if policy == "time":
        parts, words = _by_time(rows[roles["time"]], split), f"time, {split['gap']} days apart"
    elif policy == "entity_time" and entity is not None:
        parts, words = _by_both(rows, entity, roles["time"], split), f"{entity} and time"
    elif policy in ("random", "stratified") or entity is None:
        parts = by_rows(rows[roles["target"]], split)
        words = f"{'stratified' if by_rows is _stratified else 'random'} rows"
    else:
        parts, words = _by_entity(rows, entity, roles["target"], split, by_rows)
    check(
        parts, rows, entity if policy in ("entity", "entity_time") else None, roles.get("time"), policy, split
    )
    return parts, words


def _by_entity(
    rows: pd.DataFrame, entity: str, target: str, split: dict, by_rows: Callable
) -> tuple[pd.Series, str]:
    named = rows[entity].notna()
    found = [_whole(rows.loc[named, entity], split), by_rows(rows.loc[~named, target], split)]
    parts = pd.concat([part for part in found if len(part)]).reindex(rows.index)
    if named.all():
        return parts, entity
    way = "stratified" if by_rows is _stratified else "random"
    return parts, f"{entity} where named, else row" if named.any() else f"{way} rows (no {entity} named)"


def _whole(entities: pd.Series, split: dict) -> pd.Series:
    """Assign entities; all rows of an entity get the same part."""
    names = np.sort(entities.unique())
    order = np.random.default_rng(split["seed"]).permutation(len(names))
    share = (order + 0.5) / len(names) if len(names) else order
    parts = np.select(
        [share < split["holdout"], share < split["holdout"] + split["validation"]],
        ["holdout", "validation"],
        "train",
    )
    return entities.map(dict(zip(names, parts, strict=True))).astype("str")


def _stratified(target: pd.Series, split: dict) -> pd.Series:
    """Assign rows by chance, each class in the same shares."""
    parts = pd.Series("train", index=target.index, dtype="str")
    rng = np.random.default_rng(split["seed"])
    for value in sorted(target.unique()):
        _cut(parts, rng.permutation(target.index[target == value]), split)
    return parts


def _random(target: pd.Series, split: dict) -> pd.Series:
    """Assign rows by chance."""
    parts = pd.Series("train", index=target.index, dtype="str")
    _cut(parts, np.random.default_rng(split["seed"]).permutation(target.index), split)
    return parts


def _cut(parts: pd.Series, rows: np.ndarray, split: dict) -> None:
    first, second = round(split["holdout"] * len(rows)), round(split["validation"] * len(rows))
    parts[rows[:first]], parts[rows[first : first + second]] = "holdout", "validation"


def _by_time(times: pd.Series, split: dict) -> pd.Series:
    """Assign the earliest rows to train and the latest to holdout; those within the gap before a part are unused."""
    if times.isna().any():
        raise DataError(
            f"{int(times.isna().sum())} rows have no {times.name!r}, which the split goes by",
            "split.by in conf/",
            "Make the column required in the schema, or choose another split.by.",
        )
    ordered = times.sort_values(ignore_index=True)
    gap = pd.Timedelta(days=split["gap"])
    starts = [ordered[min(int((1 - share) * len(ordered)), len(ordered) - 1)] for share in _shares(split)]
    parts = pd.Series(UNUSED, index=times.index, dtype="str")
    validation, holdout = starts
    parts[times < validation - gap] = "train"
    parts[(times >= validation) & (times < holdout - gap)] = "validation"
    parts[times >= holdout] = "holdout"
    return parts


def _shares(split: dict) -> tuple[float, float]:
    return split["validation"] + split["holdout"], split["holdout"]


def _by_both(rows: pd.DataFrame, entity: str, time: str, split: dict) -> pd.Series:
    # Each alone leaves a share of its own; the shares of both together are about as asked for.
    wider = {**split, **{part: split[part] ** 0.5 / 2 for part in ("validation", "holdout")}}
    by_entity, by_time = _whole(rows[entity], wider), _by_time(rows[time], wider)
    return by_entity.where(by_entity == by_time, UNUSED)


def check(
    parts: pd.Series, rows: pd.DataFrame, entity: str | None, time: str | None, policy: str, split: dict
) -> None:
    """Check that a split keeps what its policy promises.

    Raises
    ------
    DataError
        When a part has no row, an entity is in two parts, or a part begins before the one before it has ended.
    """
    for part in PARTS:
        if not (parts == part).any():
            fix = "Bring more rows, or change 'split' in conf/."
            raise DataError(f"the part {part!r} has no rows", f"split by {policy}, {len(rows)} rows", fix)
    used = parts[parts != UNUSED]
    if entity is not None:
        spread = used.groupby(rows.loc[used.index, entity]).nunique()
        if (spread > 1).any():
            raise DataError(
                f"{entity} {spread.idxmax()!r} is in several parts", f"split by {policy}", "Report it."
            )
    if policy in ("time", "entity_time"):
        gap = pd.Timedelta(days=split["gap"])
        for before, after in (("train", "validation"), ("validation", "holdout")):
            first, last = rows.loc[parts == after, time].min(), rows.loc[parts == before, time].max()
            if last + gap > first:
                raise DataError(
                    f"{after} begins before {before} has ended", f"split by {policy}", "Report it."
                )
