"""The service beside the frameworks and servers that usually carry a model.

    python benchmarks/serving.py [--seconds 5] [--rounds 3]

All carry the case's released wheel and are asked the same record. A server has core 0, the client core 1. CPU is that of the server's whole
process tree. Rates come from eight connections that ask as soon as they are answered; latencies from an open loop at half of the server's
own rate, measured from when a request was due, so that waiting behind others counts.
"""

import argparse
import json
import re
import shutil
import statistics
import subprocess
import sys
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import numpy as np
import page
import starting
from serving_load import RECORD, Load, asked, cpu, first_answer, memory, quantile, running

from hardcover.serving.arrow import stream
from hardcover.serving.release import Release
from hardcover.serving.tensors import Output

HERE, BIN = Path(__file__).parent, Path(sys.executable).parent
MINE = "/v1/models/maintenance/predict"
BOUNDS = """What bounds these: a constant that reads nothing of what it is asked has a p99 of 15 times its p50 here, so what is beyond 3 times is the machine's. A refusal waits for the
explanations that are being computed, 0.5 ms a request. Of an explained record, 28 µs are the wheel's, 12 JSON's; shap takes 270 µs for a model this small, so 50 times is less than the constant.
A thousand records are 40 kB, whose way through the kernel and Python takes 200 µs. Spans and the log's writer are threads beside the loop, which p99 shows. Peers without lines for explanations have none."""


class Carrier(NamedTuple):
    """What is measured: command, environment, path of a prediction, of an explanation (if there is one), and what is sent."""

    command: list
    environment: dict[str, str]
    path: str
    explain: str = ""
    body: object = RECORD


def tensors(columns: dict[str, float | str]) -> dict:
    """Return a row as the Open Inference Protocol has it, a tensor for each column."""
    return {
        "inputs": [
            {
                "name": name,
                "shape": [1, 1],
                "datatype": "BYTES" if isinstance(value, str) else "FP64",
                "data": [value],
            }
            for name, value in columns.items()
        ]
    }


def carriers(wheel: Path, unpacked: Path, model: Path, collector: str) -> dict[str, Carrier]:
    """Return what is measured by name; spans go to ``collector``."""
    others, omle = page.peers("serving").parent, page.peers("omle").parent
    mlserver = page.peers("mlserver").parent
    source = str(page.ROOT / "src")
    mine = {"PYTHONPATH": source, "HARDCOVER_SERVE": str(wheel)}
    theirs = {"PYTHONPATH": f"{unpacked}:{HERE}"}
    uvicorn = f"{others}/uvicorn --loop uvloop --http httptools --no-access-log --port PORT".split()
    explain, infer, serve = (
        MINE.replace("predict", "explain"),
        "/v2/models/maintenance/infer",
        [BIN / "hardcover", "serve", wheel],
    )
    granian = f"{others}/granian --interface rsgi --loop uvloop --port PORT hardcover.serving.asgi:app"
    converted, pyfunc = starting.BENCH / "maintenance.omle", starting.BENCH / "pyfunc"
    subprocess.run([omle / "omle-convert", model, converted], check=True, capture_output=True)
    names = next(line for line in model.read_text().splitlines() if line.startswith("feature_names="))
    width = len(names.removeprefix("feature_names=").split())
    row = {"inputs": [{"name": "X", "shape": [1, width], "datatype": "FP64", "data": [1.0] * width}]}
    save_pyfunc(pyfunc)
    triton = page.ROOT / "tests" / "serving" / "triton.py"
    frame = {"dataframe_records": [RECORD]}
    spans = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector}
    folder = starting.BENCH / "log"
    omle_options = ["--rest-port", "PORT", "--grpc-port", "0", "--rest-threads", "1", "--grpc-threads", "1"]
    mlflow = ["models", "serve", "--env-manager", "local", "--workers", "1", "--port", "PORT", "-m"]
    record = tensors(RECORD)
    return {
        # What Python, its event loop and this client cost without any server in it.
        "a constant by uvloop": Carrier(
            [sys.executable, HERE / "serving_servers.py", "constant", "PORT"], {}, MINE
        ),
        "hardcover serve": Carrier([*serve, "--port", "PORT"], {}, MINE, explain),
        "with spans of 1 %": Carrier(
            [*serve, "--port", "PORT", "--span-share", "0.01"], spans, MINE, explain
        ),
        "and each answer logged": Carrier(
            [*serve, "--port", "PORT", "--span-share", "0.01", "--log", folder], spans, MINE, explain
        ),
        "and on the disk before it leaves": Carrier(
            [*serve, "--port", "PORT", "--span-share", "0.01", "--log", folder, "--log-durable"], spans, MINE
        ),
        "by the protocol": Carrier([*serve, "--port", "PORT"], {}, infer, body=record),
        "our app on uvicorn": Carrier([*uvicorn, "hardcover.serving.asgi:app"], mine, MINE, explain),
        "our app on granian, RSGI": Carrier(granian.split(), mine, MINE, explain),
        "our app on Ray Serve": Carrier(
            [page.peers("ray"), HERE / "serving_servers.py", "ray", "PORT", wheel],
            {"PYTHONPATH": source, "RAY_USAGE_STATS_ENABLED": "0"},
            MINE,
        ),
        "Starlette": Carrier([*uvicorn, "serving_peers:starlette_app"], theirs, "/predict", "/explain"),
        "FastAPI, pydantic": Carrier([*uvicorn, "serving_peers:fastapi_app"], theirs, "/predict", "/explain"),
        "FastAPI, LightGBM and shap": Carrier(
            [BIN / "uvicorn", *uvicorn[1:], "serving_shap:app"],
            {**theirs, "HARDCOVER_MODEL": str(model)},
            "/predict",
            "/explain",
        ),
        "LitServe": Carrier([others / "python", "serving_peers.py", "PORT"], theirs, "/predict"),
        "BentoML": Carrier(
            [mlserver / "bentoml", "serve", "serving_bento:Maintenance", "--port", "PORT"], theirs, "/predict"
        ),
        "MLServer": Carrier(
            [mlserver / "python", "serving_servers.py", "mlserver", "PORT+1", "PORT"],
            theirs,
            infer,
            body=record,
        ),
        "omle-server, the model alone": Carrier(
            [omle / "omle-server", "--model", converted, *omle_options], {}, infer, body=row
        ),
        "Triton, Python backend": Carrier(
            [page.peers("protocol"), triton, unpacked, "PORT", "PORT+1", "PORT+2"],
            {},
            infer,
            body=record,
        ),
        "mlflow models serve": Carrier([BIN / "mlflow", *mlflow, pyfunc], theirs, "/invocations", body=frame),
    }


def versions() -> str:
    """Return the peers with the versions that are locked."""
    wanted = {
        "serving": ["starlette", "fastapi", "pydantic", "uvicorn", "granian", "litserve"],
        "mlserver": ["bentoml", "mlserver"],
        "omle": ["omle-server"],
        "protocol": ["nvidia-pytriton"],
        "ray": ["ray"],
        "all": ["mlflow", "shap", "lightgbm"],
    }
    found = []
    for file, names in wanted.items():
        text = (page.ROOT / "requirements" / f"{file}.txt").read_text()
        for name in names:
            found += re.findall(rf"^({name})(?:\[.*?\])?==([^ ;]+)", text, re.MULTILINE)
    return ", ".join(f"{name} {version}" for name, version in found)


def save_pyfunc(folder: Path) -> None:
    """Save the wheel as a model of MLflow."""
    import mlflow

    class Wheel(mlflow.pyfunc.PythonModel):
        """Answers a table."""

        def predict(self, context, model_input, params=None):
            """Return the score of each row."""
            from casebook_maintenance import model

            return [model.predict(row).score for row in model_input.to_dict("records")]

    shutil.rmtree(folder, ignore_errors=True)
    mlflow.pyfunc.save_model(folder, python_model=Wheel(), pip_requirements=[])


class Collector(ThreadingHTTPServer):
    """Takes spans, and forgets them."""

    class Taken(BaseHTTPRequestHandler):
        """Answers that all was taken."""

        def do_POST(self) -> None:
            """Read and forget."""
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_) -> None:
            """Print nothing."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), self.Taken)
        threading.Thread(target=self.serve_forever, daemon=True).start()
        self.address = f"http://127.0.0.1:{self.server_port}"


def measure(name: str, facts: Carrier, seconds: float) -> dict[str, float]:
    """Measure one server once."""
    command, environment, path, explain, body = facts
    with running(command, environment) as (server, port, begin):
        start = first_answer(port, path, body) - begin
        asked(port, path, 1.0, body=body)
        before = cpu(server.pid)
        load = asked(port, path, seconds, body=body)
        used, rate = cpu(server.pid) - before, len(load.good) / seconds
        found = {
            "cpu": used / len(load.good) * 1e6,
            "rate": rate,
            "start": start,
            "memory": memory(server.pid),
        }
        if load.bad or load.lost:
            sys.exit(f"{name}: {len(load.bad)} answers were not 200, {load.lost} connections lost")
        half = asked(port, path, seconds, 64, rate / 2, body)
        found |= {"p50": quantile(half.good, 0.5), "p99": quantile(half.good, 0.99)}
        if explain:
            before = cpu(server.pid)
            load = asked(port, explain, seconds)
            found["explain"] = (cpu(server.pid) - before) / len(load.good) * 1e6
    starting.say(f"{name}: {found['cpu']:.1f} µs CPU a request, {found['rate']:,.0f} a second")
    return found


def batches(wheel: Path, seconds: float) -> str:
    """Ask for a thousand records at once; return what a request costs beside the wheel's own ``predict_many``, as text."""
    columns = {
        name: np.array([value] * 1000, dtype=object if isinstance(value, str) else np.float64)
        for name, value in RECORD.items()
    }
    columns["torque"] = np.linspace(10.0, 75.0, 1000)
    told, parts = [], []
    for name, column in columns.items():
        tensor = Output(name, "BYTES" if column.dtype == object else "FP64", [1000, 1], column)
        parts.append(tensor.content())
        size = {"binary_data_size": len(parts[-1])}
        told.append({"name": name, "shape": tensor.shape, "datatype": tensor.datatype, "parameters": size})
    header = json.dumps({"inputs": told, "parameters": {"binary_data_output": True}}).encode()
    length = f"content-type: application/octet-stream\r\ninference-header-content-length: {len(header)}"
    arrow = "content-type: application/vnd.apache.arrow.stream"
    ways = {
        "Arrow": (MINE, stream(columns), arrow),
        "binary tensors": ("/v2/models/maintenance/infer", b"".join([header, *parts]), length),
    }
    model = Release(wheel, starting.BENCH / "unpacked_release").model
    found = []
    with running([BIN / "hardcover", "serve", wheel, "--port", "PORT"], {}) as (server, port, _):
        first_answer(port, MINE, RECORD)
        for name, (path, body, lines) in ways.items():
            asked(port, path, 1.0, body=body, lines=lines)
            before = cpu(server.pid)
            load = asked(port, path, seconds, body=body, lines=lines)
            used = (cpu(server.pid) - before) / len(load.good) * 1e6
            begin, rounds = time.process_time(), 0
            while time.process_time() - begin < seconds / 2:
                model.predict_many(columns)
                rounds += 1
            own = (time.process_time() - begin) / rounds * 1e6
            found.append(f"by {name} {used:,.0f} µs CPU a request, {used / own:.2f} of it")
    return f"A thousand records a request, where the wheel's own `predict_many` takes {own:,.0f} µs: {'; '.join(found)}."


def shadowed(wheel: Path, seconds: float, rounds: int) -> str:
    """Ask at half load with a challenger in the shadow and without; return both latencies, as text."""
    serve = [BIN / "hardcover", "serve", wheel, "--port", "PORT"]
    found: dict[str, list[Load]] = {"off": [], "on": []}
    rate = 0.0
    for _ in range(rounds):
        for name, more in (("off", []), ("on", ["--challenger", wheel])):
            with running([*serve, *more], {}) as (_, port, _):
                first_answer(port, MINE, RECORD)
                rate = rate or len(asked(port, MINE, seconds).good) / seconds / 2
                found[name].append(asked(port, MINE, seconds, 64, rate))
    off, on = (
        [statistics.median(quantile(each.good, share) for each in loads) for share in (0.5, 0.99)]
        for loads in found.values()
    )
    return (
        f"A challenger in the shadow, at {rate:,.0f} requests a second: p50 {on[0]:.0f} µs with it and {off[0]:.0f} without, "
        f"p99 {on[1]:,.0f} and {off[1]:,.0f}."
    )


def overload(wheel: Path, seconds: float) -> str:
    """Ask three times as much as can be answered; return what happened, as text."""
    path, body = MINE.replace("predict", "explain"), [RECORD] * 10
    with running([BIN / "hardcover", "serve", wheel, "--port", "PORT"], {}) as (_, port, _):
        peak = len(asked(port, path, seconds, body=body).good) / seconds
        calm = quantile(asked(port, path, seconds, 256, peak / 2, body).good, 0.99)
        over = asked(port, path, 3 * seconds, 256, 3 * peak, body)
    total = len(over.good) + len(over.bad)
    return (
        f"Ten records explained a request, {peak:,.0f} requests a second at most. At three times as many for {3 * seconds:g} s, open loop, 256 "
        f"connections: {len(over.good) / (3 * seconds) / peak:.0%} of the peak answered, {len(over.bad) / total:.0%} refused with 503 (median "
        f"after {quantile(over.bad, 0.5) / 1000:.2f} ms), {over.lost} connections lost; p99 of what was answered "
        f"{quantile(over.good, 0.99) / 1000:.1f} ms, at half load {calm / 1000:.1f} ms."
    )


def main() -> None:
    """Measure all in turn, and write the section."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--only", default="", help="measure those whose names contain this, and write nothing"
    )
    parser.add_argument("--wheel", type=Path, help="serve this one instead of releasing the case")
    options = parser.parse_args()
    if options.wheel is None:
        starting.release_case()
    wheel = options.wheel or next((starting.BENCH / "place" / "dist").glob("*.whl"))
    unpacked = starting.BENCH / "unpacked"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(unpacked)
    model = max((starting.BENCH / "place" / "data/06_models/maintenance/model.txt").glob("*/model.txt"))
    known = carriers(wheel, unpacked, model, Collector().address)
    known = {name: carrier for name, carrier in known.items() if options.only in name}
    found: dict[str, list[dict]] = {name: [] for name in known}
    for _ in range(options.rounds):
        for name, facts in known.items():
            found[name].append(measure(name, facts, options.seconds))
    if options.only:
        return
    middle = {
        name: {key: statistics.median(each[key] for each in rounds) for key in rounds[0]}
        for name, rounds in found.items()
    }
    ours = middle["hardcover serve"]
    lines = [
        f"One record a request, JSON, kept connections; the median of {options.rounds} rounds. Ours counts all its metrics; the others count none.",
        "",
        "| server | CPU, µs a request | ours takes of it | requests a second | p50, p99 at half load, µs | with all contributions, CPU µs | first answer, s | memory, MB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, each in middle.items():
        explain = f"{each['explain']:.0f}" if "explain" in each else ""
        lines.append(
            f"| {name} | {each['cpu']:.1f} | {ours['cpu'] / each['cpu']:.2f} | {each['rate']:,.0f} | {each['p50']:.0f}, {each['p99']:.0f} "
            f"| {explain} | {each['start']:.2f} | {each['memory']:.0f} |"
        )
    lines += ["", f"Versions: {versions()}."]
    lines += ["", overload(wheel, options.seconds)]
    lines += ["", batches(wheel, options.seconds)]
    lines += ["", shadowed(wheel, options.seconds, options.rounds)]
    lines += ["", BOUNDS]
    page.keep("serving", "\n".join(lines))


if __name__ == "__main__":
    main()
