"""One record by gRPC: the service beside gRPC's own server, MLServer and omle-server.

    python benchmarks/serving_grpc.py [--seconds 4] [--rounds 3]

A server has core 0, eight threads of grpcio's client core 1; CPU is that of the server's whole process tree. All but omle-server carry the
case's released wheel and are asked a tensor for each field; omle-server has the model alone, and is asked its twelve inputs, computed already.
"""

import argparse
import os
import statistics
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import page
import serving
import serving_load
import starting
from grpc import insecure_channel

from hardcover.serving.messages import INFERENCE, message_of

METHOD = f"/{INFERENCE}/ModelInfer"
THREADS = 8


def question() -> bytes:
    """Return a request with a tensor for each field."""
    asked = message_of(INFERENCE, "ModelInferRequest")(model_name="maintenance", id="1")
    for name, value in serving.RECORD.items():
        is_text = isinstance(value, str)
        tensor = asked.inputs.add(name=name, datatype="BYTES" if is_text else "FP64", shape=[1])
        if is_text:
            tensor.contents.bytes_contents.append(value.encode())
        else:
            tensor.contents.fp64_contents.append(value)
    return asked.SerializeToString()


def inputs(count: int) -> bytes:
    """Return a request with the model's inputs in one tensor."""
    asked = message_of(INFERENCE, "ModelInferRequest")(model_name="maintenance", id="1")
    tensor = asked.inputs.add(name="X", datatype="FP64", shape=[1, count])
    tensor.contents.fp64_contents.extend([1.0] * count)
    return asked.SerializeToString()


def called(port: int, request: bytes, seconds: float) -> list[float]:
    """Call from core 1 for so many seconds; return how long each answer took."""
    os.sched_setaffinity(0, {1 % os.cpu_count()})
    until, took = time.perf_counter() + seconds, []

    def call() -> None:
        with insecure_channel(f"127.0.0.1:{port}", [("grpc.use_local_subchannel_pool", 1)]) as channel:
            infer = channel.unary_unary(METHOD)
            while (begin := time.perf_counter()) < until:
                infer(request, timeout=10, wait_for_ready=True)
                took.append(time.perf_counter() - begin)

    threads = [threading.Thread(target=call) for _ in range(THREADS)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return took


def carriers(wheel: Path, unpacked: Path, model: Path) -> dict[str, tuple[list, dict, bytes]]:
    """Return what is measured by name: command, environment and request."""
    found = {"PYTHONPATH": f"{unpacked}:{serving.HERE}:{page.ROOT / 'src'}"}
    omle, peers = page.peers("omle").parent, serving.HERE / "serving_servers.py"
    converted = starting.BENCH / "maintenance.omle"
    subprocess.run([omle / "omle-convert", model, converted], check=True, capture_output=True)
    names = next(line for line in model.read_text().splitlines() if line.startswith("feature_names="))
    threads = ["--rest-threads", "1", "--grpc-threads", "16", "--rest-port", "0"]
    return {
        "hardcover serve": ([serving.BIN / "hardcover", "serve", wheel, "--port", "PORT"], {}, question()),
        "omle-server, the model alone": (
            [omle / "omle-server", "--model", converted, "--grpc-port", "PORT", *threads],
            {},
            inputs(len(names.split())),
        ),
        "grpcio, asyncio": ([page.peers("serving"), peers, "grpcio", "PORT"], found, question()),
        "MLServer": ([page.peers("mlserver"), peers, "mlserver", "PORT", "PORT+1"], found, question()),
    }


def measure(name: str, facts: tuple, seconds: float) -> dict[str, float]:
    """Measure one server once."""
    command, environment, request = facts
    with serving_load.running(command, environment) as (server, port, _):
        called(port, request, 1.0)
        before = serving_load.cpu(server.pid)
        took = called(port, request, seconds)
        used = serving_load.cpu(server.pid) - before
        found = {
            "cpu": used / len(took) * 1e6,
            "rate": len(took) / seconds,
            "memory": serving_load.memory(server.pid),
        }
    starting.say(f"{name}: {found['cpu']:.1f} µs CPU a call, {found['rate']:,.0f} a second")
    return found


def main() -> None:
    """Measure all in turn, and write the section."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    starting.release_case()
    place = starting.BENCH / "place"
    wheel = next((place / "dist").glob("*.whl"))
    model = max((place / "data" / "06_models" / "maintenance" / "model.txt").glob("*/model.txt"))
    unpacked = starting.BENCH / "unpacked"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(unpacked)
    known = carriers(wheel, unpacked, model)
    found: dict[str, list[dict]] = {name: [] for name in known}
    for _ in range(options.rounds):
        for name, facts in known.items():
            found[name].append(measure(name, facts, options.seconds))
    middle = {
        name: {key: statistics.median(each[key] for each in rounds) for key in rounds[0]}
        for name, rounds in found.items()
    }
    ours = middle["hardcover serve"]["cpu"]
    lines = [
        f"One record a call; the median of {options.rounds} rounds. The client, eight threads of grpcio on the other core, bounds the rates.",
        "",
        "| server | CPU, µs a call | ours takes of it | calls a second | memory, MB |",
        "|---|---|---|---|---|",
        *(
            f"| {name} | {each['cpu']:.1f} | {ours / each['cpu']:.2f} | {each['rate']:,.0f} | {each['memory']:.0f} |"
            for name, each in middle.items()
        ),
    ]
    page.keep("serving_grpc", "\n".join(lines))


if __name__ == "__main__":
    sys.exit(main())
