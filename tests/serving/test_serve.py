"""``hardcover serve`` as operators run it: workers that die, releases that change, ends under load."""

import json
import mmap
import os
import random
import shutil
import signal
import socket
import time
import zipfile
from pathlib import Path

import pytest

from hardcover.release import publish as release
from hardcover.store import disk
from tests.conftest import RECORD, eventually
from tests.serving.conftest import PREDICT, often


def counted(server) -> dict[str, float]:
    text = server.ask("/metrics", method="GET")[1].decode()
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


def test_the_model_is_served_and_tells_what_it_is(serve, wheel):
    server = serve(wheel)
    status, body, headers = server.ask()
    told = json.loads(server.ask("/v1/models/maintenance", method="GET")[1])

    assert status == 200
    assert headers["hardcover-release"] == f"{json.loads(body)['version']} {told['releases'][0]['digest']}"
    assert told["proof"]["passed"]
    assert told["evaluator"] == "Kernel"
    assert server.stop() == 0
    assert [each["event"] for each in server.said] == ["serving"]


def test_a_worker_that_dies_is_replaced_and_only_its_requests_fail(serve, wheel, load):
    server = serve(wheel, "--workers", 2)
    clients, kills, chance = load(server.address), often(3, 200), random.Random(1)
    for _ in range(kills):
        victim = chance.choice(server.workers())
        os.kill(victim, signal.SIGKILL)
        assert server.until("worker died")["status"] == -signal.SIGKILL
        eventually(lambda victim=victim: len(server.workers()) == 2 and victim not in server.workers())
    time.sleep(0.5)
    for each in clients:
        each.end()

    # A connection breaks when its worker dies, and the next one is answered.
    assert all(len(each.broken) <= kills for each in clients)
    assert sum(each.refused for each in clients) == 0
    assert all(len(each.answers) > 50 for each in clients)
    assert counted(server)['hardcover_requests_total{endpoint="predict",status="200"}'] >= sum(
        len(each.answers) for each in clients
    )


@pytest.mark.parametrize("_", range(often(1, 100)))
def test_what_is_asked_when_the_end_comes_is_answered(serve, wheel, load, _):
    server = serve(wheel, "--workers", 2, "--grace", 5)
    clients = load(server.address)
    time.sleep(0.4)
    code = server.stop()
    for each in clients:
        each.end()

    assert code == 0
    assert all(each.answers for each in clients)
    assert [each.broken for each in clients] == [[], [], []]


def variant(wheel: Path, folder: Path, number: int) -> Path:
    """Return the same release in a file with another digest."""
    folder.mkdir(exist_ok=True)
    found = folder / wheel.name
    shutil.copy(wheel, found)
    with zipfile.ZipFile(found, "a") as archive:
        archive.writestr(f"{wheel.name.partition('-')[0]}/note.txt", str(number))
    return found


def publish(wheel: Path, dist: Path, case: str = "maintenance") -> None:
    """Point a case to another wheel, as a proof that passed does."""
    import hashlib

    pointer = {
        "case": case,
        "wheel": wheel.name,
        "sha256": hashlib.sha256(wheel.read_bytes()).hexdigest(),
    }
    draft = dist / "draft"
    draft.write_text(json.dumps(pointer))
    draft.replace(dist / f"{case}.json")


def test_a_new_release_takes_over_between_two_requests(serve, wheel, place, load, tmp_path):
    place.dist.mkdir(parents=True, exist_ok=True)
    names = []
    for number in range(3):
        made = variant(wheel, tmp_path / f"w{number}", number)
        names.append(place.dist / made.name.replace("-py3", f"-{number}py3"))
        shutil.copy(made, names[-1])
    publish(names[0], place.dist)
    server = serve("maintenance", "--workers", 2)
    clients = load(server.address)
    swaps = often(3, 1_000)
    for number in range(1, swaps + 1):
        each = names[number % 3]
        time.sleep(often(300, 50) / 1000)
        publish(each, place.dist)
        server.process.send_signal(signal.SIGHUP)
        server.until("release took over")
        assert counted(server)["hardcover_swaps_total"] >= 2
    time.sleep(0.2)
    for each in clients:
        each.end()

    assert [each.broken for each in clients] == [[], [], []]
    for each in clients:
        seen = [header for _, header in each.answers]
        # Each client saw the releases in turn, and never an old one again in between.
        turns = [header for at, header in enumerate(seen) if at == 0 or seen[at - 1] != header]
        assert len(turns) == swaps + 1


def test_newer_tables_of_how_sure_answers_are_take_over_and_those_of_another_wheel_or_damaged_do_not(
    serve, wheel, place, tmp_path
):
    place.dist.mkdir(parents=True, exist_ok=True)
    first, second = (
        shutil.copy(
            variant(wheel, tmp_path / f"w{number}", number),
            place.dist / wheel.name.replace("-py3", f"-{number}py3"),
        )
        for number in range(2)
    )
    publish(first, place.dist)
    server = serve("maintenance", "--workers", 2)

    def asked() -> tuple[dict, str | None]:
        _, body, headers = server.ask(f"{PREDICT}?confidence=true")
        return json.loads(body)["confidence"], headers.get("hardcover-confidence")

    own, named = asked()
    assert named is None
    table = {"kind": "probability", "edges": [], "low": [0.25], "high": [0.5], "no": None, "yes": None}
    facts = {"version": "maintenance.watch@7", "sha256": disk.digest(first), "confidence": table}
    file = place.dist / "maintenance.confidence.json"
    disk.write_atomically(file, json.dumps(facts).encode())
    assert server.until("tables took over")["tables"] == {"maintenance": "maintenance.watch@7"}
    newer = {"level": 0.9, "low": 0.25, "high": 0.5, "labels": [False, True]}
    assert [asked() for _ in range(4)] == [(newer, "maintenance.watch@7")] * 4
    # Who takes the place of a worker says the same.
    os.kill(server.workers()[0], signal.SIGKILL)
    server.until("worker died")
    eventually(lambda: len(server.workers()) == 2)
    assert [asked() for _ in range(4)] == [(newer, "maintenance.watch@7")] * 4
    for wrong in (b"{", json.dumps({**facts, "confidence": {"kind": "classes"}}).encode()):
        disk.write_atomically(file, wrong)
        assert "maintenance" in server.until("tables refused")["serving"]
        assert asked() == (newer, "maintenance.watch@7")
    disk.write_atomically(file, json.dumps(facts).encode())
    server.until("tables took over")
    publish(second, place.dist)
    server.until("release took over")
    assert asked()[1] is None
    publish(first, place.dist)
    server.until("release took over")
    assert asked() == (newer, "maintenance.watch@7")
    file.unlink()
    server.until("tables took over")
    assert asked() == (own, None)


def test_promote_and_rollback_are_followed_under_load(serve, wheel, here, load, tmp_path):
    pointers = []
    for number in range(2):
        name = wheel.name.replace("-py3", f"{number}-py3")
        content = variant(wheel, tmp_path / f"w{number}", number).read_bytes()
        disk.write_atomically(here.dist / name, content)
        facts = {"wheel": name, "sha256": disk.digest_of(content), "run": str(number)}
        pointers.append({"case": "maintenance", **facts})
        if number == 0:
            release.promote(pointers[0], "run")
    server = serve("maintenance", "--challenger", "maintenance")
    clients = load(server.address)
    asked = {"path": "/v1/models/maintenance", "body": None, "method": "GET"}

    def roles() -> list[str]:
        return [each["role"] for each in json.loads(server.ask(**asked)[1])["releases"]]

    def followed(pointer: dict) -> None:
        server.process.send_signal(signal.SIGHUP)
        told = lambda: json.loads(server.ask(**asked)[1])["releases"][0]["digest"]  # noqa: E731
        eventually(lambda: pointer["sha256"].startswith(told()), every=0.02)

    assert roles() == ["champion"]
    release.note({**pointers[1], "role": "challenger"})
    server.until("release took over")
    assert roles() == ["champion", "challenger"]
    rollbacks = often(2, 100)
    for _ in range(rollbacks):
        followed(release.promote(release.candidate("maintenance", pointers[1]["wheel"]), "promote"))
        followed(release.promote(release.before("maintenance"), "rollback"))
    for each in clients:
        each.end()

    assert [each.broken for each in clients] == [[], [], []]
    assert all(len({release for _, release in each.answers}) == 2 for each in clients)
    assert release.history("maintenance")[0]["how"] == "rollback"


def test_a_damaged_release_is_refused_and_the_old_one_answers_on(serve, wheel, place):
    place.dist.mkdir(parents=True, exist_ok=True)
    good = place.dist / wheel.name
    shutil.copy(wheel, good)
    publish(good, place.dist)
    server = serve("maintenance")
    before = server.ask()

    bad = place.dist / wheel.name.replace("-py3", "-9py3")
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(bad, "w") as new:
        for item in old.infolist():
            content = old.read(item)
            if item.filename.endswith("model.safetensors"):
                content = content[:-1] + bytes([content[-1] ^ 1])
            new.writestr(item, content)
    publish(bad, place.dist)
    server.process.send_signal(signal.SIGHUP)

    assert "damaged" in server.until("release refused")["why"]
    assert server.ask()[:2] == before[:2]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere.whl"], ["cannot read the wheel", "nowhere.whl"]),
        (["README.md.whl"], ["cannot read the wheel"]),
        (["maintenanse"], ["no wheel of 'maintenanse' is released", "hardcover run"]),
        (["--workers", "0", "x.whl"], ["out of range"]),
        (["--span-share", "1.5", "x.whl"], ["out of range"]),
        (["--log-durable", "x.whl"], ["there is no log", "--log"]),
        (["WHEEL", "--port", "PORT"], ["cannot listen", "Give another --port"]),
        (["WHEEL", "WHEEL"], ["two wheels answer for 'maintenance'"]),
        (["WHEEL", "--histories", "mysql:x"], ["no histories can be kept at 'mysql:x'"]),
        (["WHEEL", "--host", "203.0.113.7"], ["cannot listen"]),
        (["WHEEL", "--log", "/proc/nowhere"], ["cannot log answers", "a worker cannot start"]),
    ],
)
def test_what_cannot_be_served_is_said_at_the_start(place, wheel, arguments, words):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        known = {"WHEEL": str(wheel), "PORT": str(taken.getsockname()[1])}
        done = place.call(
            "hardcover",
            "serve",
            *(known.get(each, each) for each in arguments),
            check=False,
            fresh=True,
            timeout=30,
        )
    assert done.returncode == 1
    assert all(word in done.stderr for word in words), done.stderr


def test_an_empty_wheel_and_another_file_are_refused(place, tmp_path):
    for name, content in (("empty.whl", b""), ("text.whl", b"hello"), ("zip.whl", None)):
        path = tmp_path / name
        if content is None:
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("../escape.txt", "x")
        else:
            path.write_bytes(content)
        done = place.call("hardcover", "serve", str(path), check=False, fresh=True, timeout=30)
        assert done.returncode == 1
        assert "wheel" in done.stderr
    assert not (tmp_path / "escape.txt").exists()


def test_who_asks_while_many_connections_idle_is_answered(serve, wheel):
    server = serve(wheel)
    host, _, port = server.address.partition(":")
    idle = []
    for _ in range(500):
        idle.append(socket.create_connection((host, int(port))))
    reset = socket.create_connection((host, int(port)))
    reset.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    reset.sendall(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-le")
    reset.close()

    assert server.ask()[0] == 200
    assert eventually(lambda: counted(server)["hardcover_connections"] == 501)
    for each in idle:
        each.close()
    assert eventually(lambda: counted(server)["hardcover_connections"] == 1)


def test_a_service_without_its_supervisor_ends(serve, wheel):
    server = serve(wheel, "--workers", 2)
    workers = server.workers()
    server.process.kill()
    assert eventually(
        lambda: (
            not any(
                Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes()
                for pid in workers
            )
        )
    )


def resident(pid: int) -> int:
    """Return the bytes of memory that a process has."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * mmap.PAGESIZE


def test_memory_does_not_grow_with_requests_of_all_kinds(serve, wheel):
    server = serve(wheel, "--patience", 10_000, "--challenger", wheel)
    good, bad = json.dumps(RECORD), json.dumps({**RECORD, "torque": "x", "speed": 1})
    tensors = {
        "inputs": [
            {
                "name": name,
                "shape": [1],
                "datatype": "BYTES" if name == "quality" else "FP64",
                "data": [value],
            }
            for name, value in RECORD.items()
        ]
    }
    several = [
        (PREDICT, good),
        (PREDICT, bad),
        (PREDICT, f"[{good},{good}]"),
        (PREDICT.replace("predict", "explain"), good),
        ("/v2/models/maintenance/infer", json.dumps(tensors)),
        ("/nothing", "{}"),
        (PREDICT, good),
        (PREDICT, "{"),
    ]
    batch = b"".join(
        f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode()
        for path, body in several * 10
    )
    host, port = server.address.split(":")
    (worker,) = server.workers()
    asked, early = 0, 0
    most = often(20_000, 10_000_000)
    while asked < most:
        # New connections as well as new requests.
        with socket.create_connection((host, int(port)), timeout=20) as client:
            for _ in range(50):
                client.sendall(batch)
                said = b""
                while said.count(b"HTTP/1.1 ") < 80:
                    said += client.recv(2**20)
                asked += 80
        if not early and asked >= most / 5:
            early = resident(worker)
    assert resident(worker) - early < 2**21
    assert server.workers() == [worker]
    assert counted(server)["hardcover_invalid_total"] >= most / 8
