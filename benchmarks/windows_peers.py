"""How others compute the windows of card fraud; runs in ``.tools/windows``, which has none of Hardcover.

    python benchmarks/windows_peers.py pandas|polars|duckdb FILE ROUNDS

Prints the seconds of each round, and a check: the sum of each window over all rows.
"""

import json
import sys
import time

DAYS = (1, 7, 30)


def with_pandas(file: str):
    """Prepare the way of the handbook (Le Borgne et al. 2022, chapter 3): each customer and terminal rolls by itself."""
    import pandas as pd

    rows = pd.read_parquet(file)

    def of_customer(mine):
        mine = mine.sort_values("at").set_index("at")
        for days in DAYS:
            rolled = mine["amount"].rolling(f"{days}d")
            count = rolled.count()
            mine[f"customer_count_{days}d"] = count
            mine[f"customer_mean_{days}d"] = rolled.sum() / count
        return mine.reset_index()

    def of_terminal(mine):
        mine = mine.sort_values("at").set_index("at")
        frauds, count = mine["fraud"].rolling("7d").sum(), mine["fraud"].rolling("7d").count()
        for days in DAYS:
            wide_frauds = mine["fraud"].rolling(f"{7 + days}d").sum()
            wide_count = mine["fraud"].rolling(f"{7 + days}d").count()
            mine[f"terminal_count_{days}d"] = wide_count - count
            mine[f"terminal_risk_{days}d"] = (wide_frauds - frauds) / (wide_count - count)
        return mine.reset_index()

    def compute():
        found = rows.groupby("customer", group_keys=False)[list(rows)].apply(of_customer)
        return found.groupby("terminal", group_keys=False)[list(found)].apply(of_terminal)

    return compute


def with_polars(file: str):
    """Prepare polars' rolling groups, and a join of all by the row's number."""
    import polars as pl

    rows = pl.read_parquet(file).with_row_index("row")

    def rolled(by: str, days: int, offset: str | None, aggregates: list):
        options = {} if offset is None else {"offset": offset}
        ordered = rows.sort("at")
        found = ordered.rolling("at", period=f"{days}d", group_by=by, **options).agg(*aggregates)
        # Groups come in the order of their first row, each in the order of time.
        order = ordered.select("row", by).sort(by, maintain_order=True)
        return found.sort(by, maintain_order=True).with_columns(order["row"]).drop("at", by)

    def compute():
        found = rows
        for days in DAYS:
            customer = [
                pl.len().alias(f"customer_count_{days}d"),
                pl.col("amount").mean().alias(f"customer_mean_{days}d"),
            ]
            terminal = [
                pl.len().alias(f"terminal_count_{days}d"),
                pl.col("fraud").mean().alias(f"terminal_risk_{days}d"),
            ]
            found = found.join(rolled("customer", days, None, customer), on="row")
            found = found.join(rolled("terminal", days, f"-{7 + days}d", terminal), on="row")
        return found.to_pandas()

    return compute


def with_duckdb(file: str):
    """Prepare DuckDB's window functions, over a table in memory."""
    import duckdb

    database = duckdb.connect()
    database.execute(f"CREATE TABLE rows AS SELECT * FROM '{file}'")
    parts = []
    for days in DAYS:
        mine = f"(PARTITION BY customer ORDER BY rows.at RANGE BETWEEN INTERVAL {days} DAY PRECEDING AND CURRENT ROW)"
        theirs = f"(PARTITION BY terminal ORDER BY rows.at RANGE BETWEEN INTERVAL {7 + days} DAY PRECEDING AND INTERVAL 7 DAY PRECEDING)"
        parts += [
            f"count(*) OVER {mine} AS customer_count_{days}d",
            f"avg(amount) OVER {mine} AS customer_mean_{days}d",
        ]
        parts += [
            f"count(*) OVER {theirs} AS terminal_count_{days}d",
            f"avg(fraud) OVER {theirs} AS terminal_risk_{days}d",
        ]

    def compute():
        return database.execute(f"SELECT {', '.join(parts)} FROM rows").df()

    return compute


def main(way: str, file: str, rounds: str) -> None:
    """Measure one way."""
    compute = {"pandas": with_pandas, "polars": with_polars, "duckdb": with_duckdb}[way](file)
    seconds = []
    for _ in range(int(rounds)):
        begin = time.perf_counter()
        found = compute()
        seconds.append(time.perf_counter() - begin)
    names = sorted(name for name in found if name.startswith(("customer_", "terminal_")))
    print(json.dumps({"seconds": seconds, "sums": {name: float(found[name].sum()) for name in names}}))


if __name__ == "__main__":
    main(*sys.argv[1:])
