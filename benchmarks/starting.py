"""A case's wheel and a large model's: released, installed, and started from nothing; what ``runtime.py`` and ``kernel.py`` measure with."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
BENCH = ROOT / ".tools" / "bench"
AT_HALF = {"kind": "threshold", "threshold": 0.5}
ROWS = 20_000


def call(command: list, **options) -> str:
    """Run a command; gives what it printed."""
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=False, **options
    )
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stderr[-3000:]}")
    return done.stdout


def say(text: str) -> None:
    """Show progress."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr)


def keep(folder: Path, text: str, rows) -> None:
    """Keep a model with rows and LightGBM's scores of them."""
    import lightgbm as lgb
    import numpy as np

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.txt").write_text(text)
    rows = np.ascontiguousarray(rows)
    np.save(folder / "rows.npy", rows)
    np.save(folder / "scores.npy", lgb.Booster(model_str=text).predict(rows))


def release_case() -> Path:
    """Do the main job in a place of its own; keep the case's model, rows and records, and install its wheel; gives its Python."""
    import pandas as pd

    from hardcover import settings

    say("training and releasing the case")
    folder = BENCH / "case"
    call(["rm", "-rf", folder, BENCH / "place"])
    place = {
        **os.environ,
        **settings.apart(BENCH / "place"),
        "HARDCOVER_PROJECT": str(ROOT),
    }
    call([ROOT / ".venv/bin/hardcover", "run", "--pipeline"], cwd=ROOT, env=place)
    data = BENCH / "place" / "data"

    def newest(layer: str, name: str) -> Path:
        return max((data / layer / "maintenance" / name).glob(f"*/{name}"))

    features = pd.read_parquet(newest("04_feature", "features.parquet"))
    inputs = json.loads(newest("04_feature", "feature_plan.json").read_text())["inputs"]
    keep(folder, newest("06_models", "model.txt").read_text(), features[inputs].to_numpy(float)[:ROWS])
    fields = json.loads(newest("03_primary", "schema.json").read_text())["properties"]
    clean = pd.read_parquet(newest("03_primary", "clean.parquet"))
    (folder / "records.json").write_text(json.dumps(clean[list(fields)].head(2000).to_dict("records")))
    (wheel,) = (BENCH / "place" / "dist").glob("*.whl")
    uv, env = ROOT / ".tools/bin/uv", BENCH / "wheel-env"
    call([uv, "venv", "--quiet", "--clear", "--python", sys.executable, env])
    call([uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", env / "bin/python", wheel])
    return env / "bin" / "python"


START = """import json
from casebook_maintenance import model
record = json.load(open({records!r}))[0]
model.predict(record{more})
print(*(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def starts(python: Path) -> dict:
    """Time fresh interpreters from nothing to a first answer, and tell the most memory that they had, in MB."""

    def timed(interpreter, code: str) -> tuple[float, str]:
        begin = time.perf_counter()
        said = call([interpreter, "-I", "-c", code])
        return (time.perf_counter() - begin) * 1e3, said

    records = str(BENCH / "case" / "records.json")
    import numpy

    bare = BENCH / "numpy-env"
    call([ROOT / ".tools/bin/uv", "venv", "--quiet", "--clear", "--python", sys.executable, bare])
    command = [
        ROOT / ".tools/bin/uv",
        "pip",
        "install",
        "--quiet",
        "--compile-bytecode",
        "--python",
        bare / "bin/python",
    ]
    call([*command, f"numpy=={numpy.__version__}"])
    codes = {
        "nothing": (python, "pass"),
        "import numpy": (bare / "bin/python", "import numpy"),
        "import lightgbm": (sys.executable, "import lightgbm"),
        "the wheel's first answer": (python, START.format(records=records, more="")),
        "the wheel's first contributions": (python, START.format(records=records, more=", explain=True")),
    }
    found: dict[str, dict] = {}
    for name, (interpreter, code) in codes.items():
        times = [timed(interpreter, code) for _ in range(9)]
        found[name] = {"ms": statistics.median(ms for ms, _ in times)}
        if times[0][1].strip():
            found[name]["MB"] = int(times[0][1]) / 1024
    return found


def release_large() -> float:
    """Time the way from the large model's text to an installed wheel, in seconds."""
    from casebook.maintenance import features
    from hardcover.forest import flatten, lightgbm_text
    from hardcover.release import isolated_env, wheel

    schema = json.loads(
        max((BENCH / "place/data/03_primary/maintenance/schema.json").glob("*/schema.json")).read_text()
    )
    text = (BENCH / "large" / "model.txt").read_text()
    # The kernel is compiled, too.
    call(["rm", "-rf", ROOT / ".tools" / "kernels"])
    begin = time.perf_counter()
    files = {
        "model.safetensors": flatten.to_bytes(lightgbm_text.parse(text)),
        "schema.json": json.dumps(schema).encode(),
        "golden.json": b'{"rows": []}',
    }
    built = wheel.build(
        "bench_large",
        "large",
        "0.1.0",
        features,
        files,
        {"inputs": ["torque"], "decision": AT_HALF, "case": "large"},
    )
    with tempfile.TemporaryDirectory() as folder:
        isolated_env.install(built, Path(folder))
    return time.perf_counter() - begin
