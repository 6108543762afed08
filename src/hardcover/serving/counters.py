"""Counts of all workers in one piece of shared memory: kept when a worker dies, rendered by whichever is asked.

A worker adds to a row of its own with plain stores, so nothing is locked. Text format: Prometheus exposition 0.0.4
(https://prometheus.io/docs/instrumenting/exposition_formats).
"""

import mmap
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from hardcover.serving.exchange import PHRASES

# Upper edges are powers of two: 2^10 ns, about a microsecond, to 2^33 ns, about nine seconds.
FIRST_EDGE, EDGES = 10, 24
SCORE_BINS = 20
GAUGES = ("connections", "ready", "log_failing")
COUNTS = (
    "records", "invalid", "shed", "late", "events", "swaps", "compared", "differing", "shadow_dropped", "logged", "log_lost",
    "over_budget", "divided", "challenged", "challenged_expected_ppm",
)  # fmt: skip


class Counters:
    """Counts by name, a row for each worker.

    Parameters
    ----------
    workers
        How many rows.
    endpoints
        The names under which requests and their latencies are counted.
    fields
        The names of the records' fields, for what was invalid; another name counts as ``other``.
    folder
        Where workers find what one of them was the first to share; None: there is one worker.
    """

    def __init__(
        self,
        workers: int,
        endpoints: Sequence[str],
        fields: Iterable[str] = (),
        folder: Path | None = None,
    ):
        self.endpoints, self.fields = list(endpoints), [*dict.fromkeys(fields), "other"]
        places = 0
        self.requests, places = places, places + len(self.endpoints) * len(PHRASES)
        self.latencies, places = places, places + len(self.endpoints) * (EDGES + 2)
        self.scores, places = places, places + SCORE_BINS
        self.by_field, places = places, places + len(self.fields)
        self.named = {name: places + at for at, name in enumerate((*GAUGES, *COUNTS))}
        self.width = places + len(self.named)
        self.memory = mmap.mmap(-1, max(workers, 1) * self.width * 8)
        whole = memoryview(self.memory).cast("Q")
        self.rows = [whole[at * self.width : (at + 1) * self.width] for at in range(max(workers, 1))]
        self._status = {status: at for at, status in enumerate(PHRASES)}
        self._field = {name: at for at, name in enumerate(self.fields)}
        self.mine, self.place, self._folder = self.rows[0], 0, folder
        self._shared: dict[str, list[memoryview]] = {}

    def take(self, worker: int) -> None:
        """Make a worker's row this process's own; what it holds at the moment starts from zero."""
        self.mine, self.place = self.rows[worker], worker
        for name in GAUGES:
            self.set(name, 0)

    def shared(self, name: str, width: int) -> list[memoryview]:
        """Return ``width`` more counts for each worker, under a name that they all know: those of what was not there when they were forked."""
        if name not in self._shared:
            size = len(self.rows) * width * 8
            memory = mmap.mmap(-1, size) if self._folder is None else _mapped(self._folder / name, size)
            whole = memoryview(memory).cast("Q")
            self._shared[name] = [whole[at * width : (at + 1) * width] for at in range(len(self.rows))]
        return self._shared[name]

    def request(self, endpoint: int, status: int, nanoseconds: int) -> None:
        """Count a request and its latency."""
        mine = self.mine
        mine[self.requests + endpoint * len(PHRASES) + self._status[status]] += 1
        first = self.latencies + endpoint * (EDGES + 2)
        at = nanoseconds.bit_length() - FIRST_EDGE
        mine[first + (0 if at < 0 else at if at < EDGES else EDGES)] += 1
        mine[first + EDGES + 1] += nanoseconds

    def add(self, name: str, count: int = 1) -> None:
        """Add to a count, or to a gauge; a negative number lowers a gauge."""
        self.mine[self.named[name]] += count

    def set(self, name: str, value: int) -> None:
        """Set a gauge."""
        self.mine[self.named[name]] = value

    def score(self, score: float) -> None:
        """Count a probability into its bin."""
        at = int(score * SCORE_BINS)
        self.mine[self.scores + (0 if at < 0 else at if at < SCORE_BINS else SCORE_BINS - 1)] += 1

    def invalid(self, fields: Iterable[str]) -> None:
        """Count a record that was refused, and the fields that it was refused for."""
        self.add("invalid")
        for name in set(fields):
            self.mine[self.by_field + self._field.get(name, len(self.fields) - 1)] += 1

    def total(self, name: str) -> int:
        """Return a count or gauge over all workers."""
        return sum(row[self.named[name]] for row in self.rows)

    def text(self, models: Iterable[tuple[str, str, str, str]]) -> bytes:
        """Return everything as Prometheus reads it; ``models`` are name, role, version and digest of what is served."""
        whole = [sum(row[at] for row in self.rows) for at in range(self.width)]
        lines = list(_heading("hardcover_requests_total", "counter", "Requests by endpoint and status."))
        for number, endpoint in enumerate(self.endpoints):
            for at, status in enumerate(PHRASES):
                if count := whole[self.requests + number * len(PHRASES) + at]:
                    lines.append(
                        f'hardcover_requests_total{{endpoint="{endpoint}",status="{status}"}} {count}'
                    )
        lines += _heading(
            "hardcover_request_seconds", "histogram", "Time from a whole request to its answer."
        )
        for number, endpoint in enumerate(self.endpoints):
            lines += self._histogram(endpoint, whole, self.latencies + number * (EDGES + 2))
        lines += _heading(
            "hardcover_scores_total", "counter", "Probabilities answered, by the lower edge of their bin."
        )
        for at in range(SCORE_BINS):
            lines.append(f'hardcover_scores_total{{bin="{at / SCORE_BINS:g}"}} {whole[self.scores + at]}')
        lines += _heading(
            "hardcover_invalid_fields_total", "counter", "Fields for which records were refused."
        )
        for at, name in enumerate(self.fields):
            if count := whole[self.by_field + at]:
                lines.append(f'hardcover_invalid_fields_total{{field="{_escaped(name)}"}} {count}')
        for name, place in self.named.items():
            kind, suffix = ("gauge", "") if name in GAUGES else ("counter", "_total")
            lines += _heading(f"hardcover_{name}{suffix}", kind, _HELP[name])
            lines.append(f"hardcover_{name}{suffix} {whole[place]}")
        lines += _heading("hardcover_model_info", "gauge", "The releases that answer.")
        for name, role, version, digest in models:
            facts = f'model="{name}",role="{role}",version="{version}",digest="{digest}"'
            lines.append(f"hardcover_model_info{{{facts}}} 1")
        lines += _process()
        return ("\n".join(lines) + "\n").encode()

    def _histogram(self, endpoint: str, whole: list[int], first: int) -> Iterable[str]:
        seen = 0
        if not any(whole[first : first + EDGES + 1]):
            return
        for at in range(EDGES):
            seen += whole[first + at]
            edge = 2 ** (FIRST_EDGE + at) / 1e9
            yield f'hardcover_request_seconds_bucket{{endpoint="{endpoint}",le="{edge:.9g}"}} {seen}'
        seen += whole[first + EDGES]
        yield f'hardcover_request_seconds_bucket{{endpoint="{endpoint}",le="+Inf"}} {seen}'
        yield f'hardcover_request_seconds_sum{{endpoint="{endpoint}"}} {whole[first + EDGES + 1] / 1e9}'
        yield f'hardcover_request_seconds_count{{endpoint="{endpoint}"}} {seen}'


def _mapped(path: Path, size: int) -> mmap.mmap:
    with path.open("a+b") as file:
        # The same for all, so that what another has counted stays.
        file.truncate(size)
        return mmap.mmap(file.fileno(), size)


_HELP = {
    "connections": "Open connections.",
    "ready": "Workers that accept requests.",
    "records": "Records that were scored.",
    "invalid": "Records that were refused.",
    "shed": "Requests refused because the worker was behind.",
    "late": "Requests whose own deadline had passed.",
    "events": "Events observed.",
    "swaps": "Releases that took over while serving.",
    "compared": "Answers that a challenger was compared with.",
    "differing": "Of these, answers in which it differed.",
    "over_budget": "Requests refused because their caller had asked too much.",
    "divided": "Requests that were divided between champion and challenger, where each is a draw of its own.",
    "challenged": "Of these, answered by the challenger.",
    "challenged_expected_ppm": "How many of these the share says, in millionths.",
    "log_failing": "Workers whose log cannot be written.",
    "logged": "Answers in the log.",
    "log_lost": "Answers that the log could not take.",
    "shadow_dropped": "Answers that no challenger was asked for, for want of time.",
}


def _heading(name: str, kind: str, text: str) -> tuple[str, str]:
    return f"# HELP {name} {text}", f"# TYPE {name} {kind}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _process() -> list[str]:
    """Return CPU, memory and file descriptors of the worker that answers, as https://prometheus.io/docs/instrumenting names them."""
    times = os.times()
    lines = [
        *_heading("process_cpu_seconds_total", "counter", "CPU time of the worker that answered."),
        f"process_cpu_seconds_total {times.user + times.system:.2f}",
    ]
    try:
        resident = int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE
        opened = sum(1 for _ in Path("/proc/self/fd").iterdir())
    except OSError:
        return lines
    return [
        *lines,
        *_heading("process_resident_memory_bytes", "gauge", "Memory of the worker that answered."),
        f"process_resident_memory_bytes {resident}",
        *_heading("process_open_fds", "gauge", "File descriptors of the worker that answered."),
        f"process_open_fds {opened}",
    ]
