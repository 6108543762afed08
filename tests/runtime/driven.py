"""Build the kernel into a program of its own, and let it answer: under sanitizers, or for other processors."""

import struct
import subprocess
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hardcover import runtime
from hardcover.release import compiler
from hardcover.runtime.forest import Forest
from hardcover.runtime.forest_format import ARRAYS, LINKS
from hardcover.runtime.shapley import rule_of

HERE, KERNEL = Path(__file__).parent, Path(runtime.__file__).parent
MAX_LANES = 32
RULES = np.concatenate([rule_of(points) for points in range(4, MAX_LANES + 1, 4)])


class Answer(NamedTuple):
    """What the kernel said of one model: the rule that it breaks, or scores, leaves, and reasons if it has any."""

    broken: int
    score: bytes = b""
    raw: bytes = b""
    leaves: bytes = b""
    unexplained: int = 0
    reasons: bytes = b""
    again: bytes = b""


def build(to: Path, *flags: str, source: str = "driver.c", command: list[str] | None = None) -> Path:
    """Compile the driver, or the kernel alone."""
    place = HERE / source if source == "driver.c" else KERNEL / source
    own = compiler.own_compiler()
    used = command or ([own] if own else compiler.zig())
    subprocess.run(
        [*used, "-std=c11", "-ffp-contract=off", f"-I{KERNEL}", *flags, "-o", str(to), str(place), "-lm"],
        check=True,
        # zig leaves a file where it is called.
        cwd=to.parent,
        capture_output=True,
        text=True,
    )
    return to


def question(forest: Forest, rows: np.ndarray) -> bytes:
    """Write a model and rows as the driver reads them; only what ``Forest`` itself checks is sure."""
    a = forest.arrays
    counts = [
        forest.features, forest.trees, forest.nodes, forest.outputs, len(a["threshold"]), len(a["slot_feature"]),
        len(a["table_feature"]), len(a["table_cell"]), len(a["set_offset"]) - 1, len(a["set_word"]), len(a["node_set"]),
        len(a["linear_weight"]), len(a["linear_plain"]), len(a["book"]), forest.slots % 2**64,
    ]  # fmt: skip
    parts = [struct.pack("<15Q3d", *counts, forest.slope, forest.divisor, LINKS.index(forest.link))]
    for content in [*(bytes(a[name]) for name in ARRAYS), RULES.tobytes(), rows.tobytes()]:
        parts += [struct.pack("<Q", len(content)), content]
    return b"".join([*parts, struct.pack("<Q", len(rows))])


class Driven:
    """A running driver."""

    def __init__(self, *command: str, **options):
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options
        )

    def ask(self, forest: Forest, rows: np.ndarray) -> Answer:
        """Let the kernel answer; fails with what the sanitizer said when the process died."""
        try:
            self._process.stdin.write(question(forest, rows))
            self._process.stdin.flush()
            (broken,) = struct.unpack("<i", self._take())
            if broken:
                return Answer(broken)
            score, raw, leaves = (self._take() for _ in range(3))
            (unexplained,) = struct.unpack("<i", self._take())
            reasons = [self._take(), self._take()] if not unexplained else [b"", b""]
            return Answer(0, score, raw, leaves, unexplained, *reasons)
        except (BrokenPipeError, EOFError, struct.error) as error:
            self._process.kill()
            raise AssertionError(
                f"the kernel died: {self._process.stderr.read().decode()[-3000:]}"
            ) from error

    def _take(self) -> bytes:
        head = self._process.stdout.read(8)
        if len(head) < 8:
            raise EOFError
        (size,) = struct.unpack("<Q", head)
        return self._process.stdout.read(size)

    def close(self) -> str:
        """End the process; gives what it wrote to standard error."""
        _, said = self._process.communicate()
        assert self._process.returncode == 0, said.decode()[-3000:]
        return said.decode()
