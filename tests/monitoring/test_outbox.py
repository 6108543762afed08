"""Alerts are told to a file, to Alertmanager and by e-mail; what cannot be told is told later, under the same id."""

import http.server
import json
import shutil
import socketserver
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from hardcover.monitoring import outbox
from hardcover.serving.deployment import OPERATIONS
from tests.conftest import eventually, free_port

CONFIGURATION = OPERATIONS / "alertmanager.yaml"

PAGE = {
    "id": "0123456789ab",
    "test": "expected harm",
    "tier": "page",
    "wheel": "casebook_maintenance-0.1.0-py3-none-any.whl",
    "since": "2026-03-02T00:00:00",
    "what": "answers cost more",
    "why": ["torque moved the mean raw score by +0.5 of +0.6"],
    "next": "hardcover cycle maintenance",
    "loss": {"more": 2.5, "low": 1.0, "high": 4.0, "unit": "EUR"},
    "rows": 1200,
    "calm": 0,
    "until": None,
}


@pytest.fixture
def alertmanager(here, monkeypatch) -> Iterator[list[dict]]:
    """A server that takes alerts, as Alertmanager does; what it was told."""
    told: list[dict] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            told.append({"path": self.path, "body": body})
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("HARDCOVER_ALERTS_ALERTMANAGER", f"http://127.0.0.1:{server.server_port}")
        yield told
        server.shutdown()


@pytest.fixture
def mailbox(here, monkeypatch) -> Iterator[list[str]]:
    """A server that takes mail by RFC 5321; what it got."""
    got: list[str] = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            self.wfile.write(b"220 here\r\n")
            while line := self.rfile.readline():
                word = line[:4].upper()
                if word == b"DATA":
                    self.wfile.write(b"354 go on\r\n")
                    got.append(b"".join(iter(self.rfile.readline, b".\r\n")).decode())
                self.wfile.write(b"221 bye\r\n" if word == b"QUIT" else b"250 well\r\n")
                if word == b"QUIT":
                    return

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("HARDCOVER_ALERTS_SMTP", f"127.0.0.1:{server.server_address[1]}")
        monkeypatch.setenv("HARDCOVER_ALERTS_MAIL_TO", "team@example.org")
        yield got
        server.shutdown()


def lines(case: str) -> list[str]:
    file = outbox.file(case)
    return [json.loads(line)["event_id"] for line in file.read_text().splitlines()] if file.exists() else []


def test_an_episode_is_told_when_it_opens_and_when_it_closes(alertmanager, mailbox):
    (opened,) = outbox.events([PAGE])
    assert [each["event_id"] for each in outbox.tell("maintenance", [opened], print)] == [
        "0123456789ab-opened"
    ]
    closed = outbox.events([{**PAGE, "until": "2026-03-09T00:00:00"}])[1]
    outbox.tell("maintenance", [closed], print)
    first, second = (each["body"][0] for each in alertmanager)
    assert {each["path"] for each in alertmanager} == {"/api/v2/alerts"}
    assert first["labels"] == {
        "alertname": "HardcoverExpectedHarm",
        "severity": "page",
        "case": "maintenance",
        "episode": "0123456789ab",
    }
    assert first["startsAt"] == "2026-03-02T00:00:00Z"
    assert "endsAt" not in first
    assert second["endsAt"] == "2026-03-09T00:00:00Z"
    assert second["labels"] == first["labels"]
    assert len(mailbox) == 2
    for words in (
        "Message-ID: <0123456789ab-opened@hardcover>",
        "To: team@example.org",
        "+2.5 EUR more",
        "next: hardcover cycle",
    ):
        assert words in mailbox[0]
    assert lines("maintenance") == ["0123456789ab-opened", "0123456789ab-closed"]


def test_what_cannot_be_told_is_tried_again_and_a_line_is_never_written_twice(here, monkeypatch):
    said: list[str] = []
    monkeypatch.setenv("HARDCOVER_ALERTS_ALERTMANAGER", f"http://127.0.0.1:{free_port()}")
    events = outbox.events([PAGE])
    assert outbox.tell("maintenance", events, said.append) == []
    assert "cannot tell 0123456789ab-opened" in said[0]
    assert lines("maintenance") == []
    monkeypatch.delenv("HARDCOVER_ALERTS_ALERTMANAGER")
    assert outbox.tell("maintenance", events, said.append) == events
    # As if the pass had been killed before it noted that.
    assert outbox.tell("maintenance", events, said.append) == events
    assert lines("maintenance") == ["0123456789ab-opened"]


def test_a_warning_calls_nobody_by_mail(mailbox):
    outbox.tell("maintenance", outbox.events([{**PAGE, "tier": "warning", "loss": {}}]), print)
    assert mailbox == []
    assert lines("maintenance") == ["0123456789ab-opened"]


@pytest.fixture
def real_alertmanager(here, tmp_path, monkeypatch) -> Iterator[str]:
    """Alertmanager itself, with the configuration that `hardcover deploy` ships."""
    program = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    if program is None:
        pytest.skip("alertmanager is not installed; .ci/run installs it")
    address = f"127.0.0.1:{free_port()}"
    options = [
        f"--config.file={CONFIGURATION}",
        f"--storage.path={tmp_path}/alerts",
        "--cluster.listen-address=",
    ]
    server = subprocess.Popen(
        [program, *options, f"--web.listen-address={address}"], stderr=subprocess.DEVNULL
    )
    monkeypatch.setenv("HARDCOVER_ALERTS_ALERTMANAGER", f"http://{address}")
    try:
        eventually(lambda: urllib.request.urlopen(f"http://{address}/-/ready").status == 200, every=0.1)
        yield f"http://{address}"
    finally:
        server.terminate()
        server.wait()


def test_alertmanager_takes_alerts_and_a_page_silences_the_warnings_of_its_case(real_alertmanager):
    now = datetime.now(UTC).replace(tzinfo=None).isoformat(timespec="seconds")
    page = {**PAGE, "since": now}
    warning = {**page, "id": "ba9876543210", "test": "inputs", "tier": "warning", "loss": {}}
    events = outbox.events([page, warning])
    assert outbox.tell("maintenance", events, print) == events

    def known() -> dict[str, str]:
        with urllib.request.urlopen(f"{real_alertmanager}/api/v2/alerts") as answer:
            return {each["labels"]["episode"]: each["status"]["state"] for each in json.load(answer)}

    assert eventually(lambda: known() if "suppressed" in known().values() else None, every=0.2) == {
        page["id"]: "active",
        warning["id"]: "suppressed",
    }
    # When the page is over, the warning is one again.
    outbox.tell("maintenance", outbox.events([{**page, "until": now}])[1:], print)
    assert eventually(lambda: known() if known().get(warning["id"]) == "active" else None, every=0.2)
    checked = subprocess.run(
        ["amtool", "check-config", CONFIGURATION], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout
