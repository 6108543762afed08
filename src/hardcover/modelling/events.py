"""A table's rows as events: when they were, when they were known, of which entity, as arrays."""

import numpy as np
import pandas as pd
import pyarrow as pa

from hardcover.errors import FeatureError
from hardcover.runtime.events import FIRST, LAST, NEVER
from hardcover.runtime.window_plan import Plan

WHERE = "node compute_features"
# From so many rows on, a hash table of all keys no longer fits into caches.
MANY = 1_000_000


class Table:
    """Events as arrays: what windows of a table are computed from.

    Parameters
    ----------
    plan
        What windows look at.
    rows
        The events, with the plan's columns; those that are functions of the row come by ``read``.
    events
        Shape (rows,), bool: which rows are events; the others are only asked about. None: all.

    Raises
    ------
    FeatureError
        When a row has no time or no key, a key comes twice, or a time is before 1900 or after 2200.
    """

    def __init__(
        self,
        plan: Plan,
        rows: pd.DataFrame,
        events: np.ndarray | None = None,
    ):
        self.plan, self.size, self.events, self._rows = plan, len(rows), events, rows
        if plan.key is None:
            raise _refused(
                "no column of the schema has the role 'key'", "Windows need it to tell events apart."
            )
        self.times = _moments(rows[plan.time])
        self.received = _moments(rows[plan.received], self.times) if plan.received else self.times
        self.known = (
            _moments(rows[plan.known], NEVER) if plan.known else np.full(self.size, NEVER, dtype=np.int64)
        )
        self.keys = rows[plan.key]
        keys = self.keys if events is None else self.keys[events]
        if keys.isna().any() or not _all_different(keys):
            first = keys[keys.isna() | keys.duplicated()].iloc[0]
            raise _refused(
                f"the key {plan.key!r} does not name one row each, such as {first!r}", "Make it unique."
            )
        self.entities = [_codes_of(rows, by) for by in plan.entities]
        self.order = self._order()
        self.values: list[np.ndarray] = []

    def read(self, computed: dict[str, np.ndarray]) -> None:
        """Read what windows look at.

        Parameters
        ----------
        computed
            The plan's columns that are functions of the row, by name: shape (rows,), float64.

        Raises
        ------
        FeatureError
            When an event's value is infinite.
        """
        self.values = [self._values(name, self._rows, computed) for name in self.plan.columns]

    def _values(self, name: str, rows: pd.DataFrame, computed: dict[str, np.ndarray]) -> np.ndarray:
        if name in self.plan.texts:
            return pd.factorize(rows[name].astype("str").where(rows[name].notna(), None))[0].astype(np.int32)
        found = computed[name] if name in computed else rows[name].astype("float64").to_numpy()
        infinite = np.isinf(found)
        refused = infinite if self.events is None else infinite & self.events
        if refused.any():
            what = f"{name!r} is infinite in {int(refused.sum())} rows"
            raise _refused(what, "Refuse such rows in the schema.")
        if infinite.any():
            found = np.where(infinite, np.nan, found)
        # Of two zeros, one is kept, so that no order decides which.
        return np.ascontiguousarray(found + 0.0)

    def _order(self) -> np.ndarray | None:
        """Return the rows by (time, received, key); None where they are so already."""
        times, received = self.times, self.received
        later = (times[1:] > times[:-1]) | ((times[1:] == times[:-1]) & (received[1:] > received[:-1]))
        if later.all():
            return None
        order = np.lexsort((received, times))
        tied = (times[order[1:]] == times[order[:-1]]) & (received[order[1:]] == received[order[:-1]])
        if tied.any():
            in_ties = np.zeros(self.size, dtype=bool)
            in_ties[order[1:][tied]] = in_ties[order[:-1][tied]] = True
            ranks = np.zeros(self.size, dtype=np.int64)
            # By code points, as Python compares texts.
            ranks[in_ties] = np.argsort(np.argsort(self.keys[in_ties].astype("str").to_numpy(dtype=object)))
            order = np.lexsort((ranks, received, times))
        return np.ascontiguousarray(order, dtype=np.int64)


def _all_different(keys: pd.Series) -> bool:
    if len(keys) > MANY:
        # By hashes, in parts that fit into caches; of two equal ones, pandas says whether the keys are.
        import duckdb

        named = pa.table({"key": pa.array(keys)})  # noqa: F841  (DuckDB finds it by its name)
        ((found,),) = duckdb.connect().execute("SELECT count(DISTINCT hash(key)) FROM named").fetchall()
        if found == len(keys):
            return True
    return not keys.duplicated().any()


def _moments(column: pd.Series, missing: np.ndarray | int | None = None) -> np.ndarray:
    found, gone = column.astype("datetime64[us]").to_numpy().astype(np.int64), column.isna().to_numpy()
    if missing is None and gone.any():
        raise _refused(
            f"{column.name!r} is missing in {int(gone.sum())} rows", "Make it required in the schema."
        )
    wrong = ~gone & ((found < FIRST) | (found > LAST))
    if wrong.any():
        what = f"{column.name!r} is {column[wrong].iloc[0]} in row {int(np.flatnonzero(wrong)[0])}"
        raise _refused(what, "Times lie between 1900 and 2200.")
    return found if missing is None else np.where(gone, missing, found)


def _refused(what: str, fix: str) -> FeatureError:
    return FeatureError(f"windows cannot be computed: {what}", WHERE, fix)


def _codes_of(rows: pd.DataFrame, by: tuple[str, ...]) -> tuple[np.ndarray, pd.Index]:
    """Return the number of each row's entity, -1 where there is none, and the entities' names."""
    names = rows[by[0]]
    if len(by) > 1:
        gone = rows[list(by)].isna().any(axis=1)
        names = rows[by[0]].astype("str").str.cat([rows[name].astype("str") for name in by[1:]], sep="\x1f")
        names = names.where(~gone, None)
    codes, found = pd.factorize(names)
    return codes.astype(np.int32), pd.Index(found)
