"""Where a version came from and what was made of it, read from manifests: as a tree, a picture, OpenLineage events.

A version is written ``dataset@version``; a raw file that a parameter named is written ``file@sha256``.
"""

from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from hardcover import settings
from hardcover.errors import UnknownName, VersionError
from hardcover.lineage import run_records
from hardcover.store import versions


class Item(NamedTuple):
    """A version of a dataset, or a raw file, whose version is its SHA-256."""

    dataset: str
    version: str
    is_file: bool = False

    def __str__(self) -> str:
        return f"{self.dataset}@{self.version[:12] if self.is_file else self.version}"


class Lineage:
    """All committed versions of a data folder and how they lead to each other.

    Versions whose manifest is damaged are left out; ``hardcover verify`` names them.
    """

    def __init__(self, root: Path | None = None):
        self.root = root or Path(settings.read("data.root"))
        self.manifests: dict[Item, dict] = {}
        self.folders: dict[Item, Path] = {}
        for folder in versions.all_committed(self.root):
            try:
                manifest = versions.manifest_of(folder)
            except VersionError:
                continue
            item = Item(manifest.get("dataset", folder.parent.name), folder.name)
            self.manifests[item], self.folders[item] = manifest, folder

    def find(self, name: str) -> Item:
        """Find a version by ``dataset`` (the newest) or ``dataset@version``.

        Raises
        ------
        UnknownName
            When there is no such dataset or version; the closest is offered.
        """
        dataset, _, version = name.partition("@")
        known = sorted({item.dataset for item in self.manifests})
        if dataset not in known:
            raise UnknownName("dataset", dataset, known, str(self.root))
        there = sorted(item.version for item in self.manifests if item.dataset == dataset)
        if version and version not in there:
            raise UnknownName("version", version, there, f"dataset {dataset!r}")
        return Item(dataset, version or there[-1])

    def inputs(self, item: Item) -> list[Item]:
        """Return what a version was made from: versions, and raw files."""
        return list(inputs_of(self.manifests.get(item, {})))

    @cached_property
    def _outputs(self) -> dict[Item, list[Item]]:
        found: dict[Item, list[Item]] = {}
        for item in sorted(self.manifests):
            for source in self.inputs(item):
                found.setdefault(source, []).append(item)
        return found

    def outputs(self, item: Item) -> list[Item]:
        """Return what was made from just this version; a raw file may have had several names.

        Versions of equal content are not joined: a feature plan is the same for any data, and wheels of other data would seem to
        hold a raw file. Where a result was reused, its manifest says from which versions it was made.
        """
        same = [item]
        if item.is_file:
            same = [other for other in self._outputs if other.is_file and other.version == item.version]
        return sorted({output for other in same for output in self._outputs.get(other, [])})

    def holding(self, sha256: str) -> list[Item]:
        """Find raw files and versions that have a file with this SHA-256, or first digits of it.

        Raises
        ------
        UnknownName
            When nothing has it.
        """
        raw = {source for item in self.manifests for source in self.inputs(item) if source.is_file}
        found = [item for item in raw if item.version.startswith(sha256)]
        for item, manifest in self.manifests.items():
            if any(facts["sha256"].startswith(sha256) for facts in manifest["files"].values()):
                found.append(item)
        if not found:
            raise UnknownName("dataset, run or SHA-256", sha256, [item.dataset for item in self.manifests])
        return sorted(found)

    def wheels(self, items: Iterable[Item]) -> list[tuple[Item, str]]:
        """Return the wheels that were made of any of the items, each with its name; of one wheel, the newest version."""
        from hardcover.release import wheel_file

        reached = [item for item in self.reach(items, self.outputs) if item in self.folders]
        files = [
            (item, self.folders[item] / name) for item in reached for name in self.manifests[item]["files"]
        ]
        found = {
            wheel_file.file_name(path.read_bytes()): item
            for item, path in sorted(files)
            if path.suffix == ".whl"
        }
        return [(item, name) for name, item in found.items()]

    def runs_of(self, items: Iterable[Item]) -> set[str]:
        """Return the runs that made the items."""
        return {self.manifests[item].get("run") for item in items if item in self.manifests} - {None}

    def reach(self, items: Iterable[Item], step) -> list[Item]:
        """Follow ``inputs`` or ``outputs`` as far as they lead; returns the items themselves, too, nearest first."""
        found = dict.fromkeys(items)
        waiting = list(found)
        while waiting:
            for other in step(waiting.pop(0)):
                if other not in found:
                    found[other] = None
                    waiting.append(other)
        return list(found)

    def describe(self, item: Item) -> str:
        """Describe in one line what a version is and who made it."""
        if item not in self.manifests:
            return str(item) + (" (raw file)" if item.is_file else " (missing)")
        facts = self.manifests[item]
        size = f"{facts['rows']} rows, " if "rows" in facts else ""
        commit = (
            f", commit {facts['commit'][:8]}{' with changes' if facts.get('dirty') else ''}"
            if facts.get("commit")
            else ""
        )
        by = f"node {facts['node']}" if facts.get("node") else "by hand"
        face = f", {facts['face']}" if facts.get("face") else ""
        run = f", run {facts['run'][:8]}" if facts.get("run") else ""
        return f"{item} ({size}{by}{face}{run}{commit})"

    def tree(self, item: Item, step) -> list[str]:
        """Draw what ``step`` leads to, line by line; what was shown before is not followed again."""
        shown: set[Item] = set()

        def lines(item: Item, first: str, rest: str) -> Iterator[str]:
            again = item in shown and step(item)
            yield first + self.describe(item) + (" …" if again else "")
            shown.add(item)
            children = [] if again else step(item)
            for number, child in enumerate(children, start=1):
                last = number == len(children)
                yield from lines(
                    child, rest + ("└── " if last else "├── "), rest + ("    " if last else "│   ")
                )

        return list(lines(item, "", ""))

    def edges(self, items: Iterable[Item]) -> list[tuple[Item, Item]]:
        """Return the arrows between all that the items were made from and all that was made of them."""
        items = list(items)
        around = {*self.reach(items, self.inputs), *self.reach(items, self.outputs)}
        return sorted((source, item) for item in around for source in self.inputs(item) if source in around)


def inputs_of(origin: dict) -> Iterator[Item]:
    """Yield the saved versions and raw files that a manifest's version was made of, through what was never saved."""
    for name, facts in (origin.get("inputs") or {}).items():
        if isinstance(facts, str):
            # Manifests of the first format name the version only.
            yield Item(name, facts)
        elif "made_by" in facts:
            yield from inputs_of(facts["made_by"])
        elif "version" in facts:
            yield Item(name, facts["version"])
    for path, digest in (origin.get("reads") or {}).items():
        yield Item(Path(path).name, digest, True)


def of_run(run: str) -> dict:
    """Return the record of a run with its nodes, and what it read and gave, all sessions together."""
    record = run_records.read(run)
    together: dict[str, dict] = {"nodes": {}, "inputs": {}, "outputs": {}}
    for session in record["sessions"]:
        for kind, found in together.items():
            found |= session[kind]
    first = record["sessions"][0]
    inputs = {name: facts for name, facts in together["inputs"].items() if name not in together["outputs"]}
    ended = record["sessions"][-1].get("ended")
    return {**first, "run": record["run"], "ended": ended, **together, "inputs": inputs}


def mermaid(edges: Iterable[tuple[Item, Item]]) -> str:
    """Draw arrows as a Mermaid flowchart, for a README."""
    edges = list(edges)
    ids = {
        item: f"n{number}"
        for number, item in enumerate(dict.fromkeys(item for edge in edges for item in edge))
    }
    boxes = [f'  {name}["{item.dataset}<br/>{item.version[:23]}"]' for item, name in ids.items()]
    arrows = [f"  {ids[source]} --> {ids[item]}" for source, item in edges]
    return "\n".join(["flowchart LR", *boxes, *arrows])
