"""The page of benchmarks: docs/benchmarks.md, of which each program of `make bench` writes its own section anew."""

import os
import platform
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "benchmarks.md"
TITLES = {
    "runtime": "The runtime beside what a service could use instead",
    "kernel": "The kernel beside compiled trees, by shape",
    "fraud": "Card fraud beside the handbook",
    "recommendation": "Films beside ALS and BPR",
    "windows": "Windows beside how others compute and serve them",
    "serving": "The service beside other servers",
    "serving_grpc": "The service by gRPC beside other servers",
    "main_job": "The main job beside the same functions in one plain process",
    "machinery": "What versions, hashes and skipping cost",
    "own_data": "What is seen in other people's files",
    "first_models": "First models beside AutoGluon",
}
HEAD = """# Benchmarks

Speed side by side with peers, as ratios within one round; the median over rounds, with the lowest and highest. `make bench` writes each section, with the
machine and the day. Peers come from PyPI, into an environment of their own.
"""


def keep(name: str, text: str) -> None:
    """Print a result and put it into its section of docs/benchmarks.md.

    Parameters
    ----------
    name
        A section: a key of `TITLES`.
    text
        Its tables, in Markdown.
    """
    print(text)
    sections = _sections() | {TITLES[name]: f"{_where()}\n\n{text}"}
    parts = [f"## {title}\n\n{sections[title].strip()}\n" for title in TITLES.values() if title in sections]
    PAGE.write_text("\n".join([HEAD, *parts]))


def peers(name: str) -> Path:
    """Install ``requirements/NAME.txt`` into an environment of its own, ``.tools/NAME``; returns its Python."""
    uv, folder = ROOT / ".tools/bin/uv", ROOT / ".tools" / name
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, folder], check=True)
    locked = ROOT / "requirements" / f"{name}.txt"
    subprocess.run([uv, "pip", "sync", "--quiet", "--require-hashes", "--python", python, locked], check=True)
    return python


def _sections() -> dict[str, str]:
    found = re.split(r"^## (.*)$", PAGE.read_text() if PAGE.exists() else "", flags=re.MULTILINE)[1:]
    return dict(zip(found[::2], found[1::2], strict=True))


def _where() -> str:
    path = Path("/proc/cpuinfo")
    known = path.read_text() if path.exists() else ""
    names = re.findall(r"^model name\s*: (.*)$", known, re.MULTILINE)
    flags = re.search(r"^flags\s*: (.*)$", known, re.MULTILINE)
    vectors = "AVX-512" if flags and "avx512f" in flags[1] else "AVX2" if flags and "avx2" in flags[1] else ""
    kind = ", ".join(filter(None, [names[0] if names else platform.machine(), vectors]))
    commit = ["git", "describe", "--always", "--dirty"]
    done = subprocess.run(commit, cwd=ROOT, capture_output=True, text=True, check=False)
    return (
        f"Measured on {time.strftime('%d %B %Y')}: {kind}, {os.cpu_count()} cores, {platform.system()}, "
        f"Python {sys.version.split()[0]}, commit {done.stdout.strip()}."
    )
