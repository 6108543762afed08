"""A version of a dataset, as a notebook shows it."""

import html
import json
from pathlib import Path
from typing import Any

import pandas as pd

from hardcover.lineage import graph
from hardcover.reporting import pages
from hardcover.store import versions

FIRST = 5
MAX_TEXT = 20_000


class Version:
    """A committed version: what it holds, and what its manifest says of it.

    Attributes
    ----------
    content
        As ``Case.load`` returns it.
    manifest
        Its name, contents' hash, origin and files.
    """

    def __init__(self, content: Any, folder: Path):
        self.content, self._folder = content, folder
        self.manifest = versions.manifest_of(folder)

    def _facts(self) -> list[tuple[str, str]]:
        facts = self.manifest
        size = sum(file["bytes"] for file in facts["files"].values())
        commit = (
            f"{facts['commit'][:12]}{' with changes' if facts['dirty'] else ''}"
            if facts.get("commit")
            else ""
        )
        found = [
            ("version", facts["version"]),
            ("rows", f"{facts['rows']:,} × {len(facts['columns'])} columns" if "rows" in facts else ""),
            ("content", f"{facts['content'][:16]}…, {size:,} bytes"),
            (
                "made by",
                ", ".join(filter(None, [facts.get("node"), facts.get("face"), f"run {facts['run'][:8]}"])),
            ),
            ("made of", ", ".join(map(str, graph.inputs_of(facts)))),
            ("files", ", ".join(facts.get("reads", {}))),
            ("commit", commit),
        ]
        return [(name, value) for name, value in found if value]

    def report(self) -> Any:
        """Return skrub's TableReport of a table: each column's distribution and what goes with what; needs ``hardcover[lab]``."""
        from skrub import TableReport

        return TableReport(self.content, title=self.manifest["dataset"], verbose=0)

    def __repr__(self) -> str:
        lines = [f"{name:<8} {value}" for name, value in self._facts()]
        return "\n".join([self.manifest["dataset"], *lines])

    def _repr_html_(self) -> str:
        facts = pages.facts((name, html.escape(value)) for name, value in self._facts())
        return f"<div class='hardcover-version'><b>{html.escape(self.manifest['dataset'])}</b>{facts}{self._first()}</div>"

    def _first(self) -> str:
        if isinstance(self.content, pd.DataFrame):
            return self.content.head(FIRST).to_html(max_cols=30, border=0, notebook=True)
        pictures = sorted(self._folder.rglob("*.png"))
        if pictures:
            return "".join(f"<img src='{pages.embedded(path)}' alt='{path.stem}'>" for path in pictures)
        if isinstance(self.content, str) and self.content.lstrip().startswith("<!doctype html"):
            return framed(self.content)
        text = (
            self.content if isinstance(self.content, str) else json.dumps(self.content, indent=1, default=str)
        )
        return f"<details><summary>content</summary><pre>{html.escape(text[:MAX_TEXT])}</pre></details>"


def framed(page: str, height: int = 520) -> str:
    """Return a whole page as a frame within a notebook, whose styles stay its own."""
    return f"<iframe srcdoc=\"{html.escape(page)}\" style='width: 100%; height: {height}px; border: 1px solid #ccc'></iframe>"
