"""What is told of alerts, and to whom: a file of JSON lines, Alertmanager, and e-mail; each event under an id of its own, until it was told."""

import json
import smtplib
import urllib.error
import urllib.request
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from hardcover import settings
from hardcover.monitoring.alerts import PAGE
from hardcover.release import publish
from hardcover.reporting.progress import Reporter
from hardcover.store import disk

SECONDS = 10
TABLES = "hardcover.confidence/1"
FILE = "alerts.jsonl"


def events(episodes: list[dict]) -> list[dict]:
    """Return what episodes gave reason to tell: that each was opened, and closed; with an ``event_id`` each."""
    found = []
    for each in episodes:
        found.append({"event_id": f"{each['id']}-opened", "event": "opened", **each})
        if each["until"] is not None:
            found.append({"event_id": f"{each['id']}-closed", "event": "closed", **each})
    return found


def untold(state: dict[str, Any]) -> list[dict]:
    """Return the events of a state's episodes that were not told yet."""
    told = set(state["told"])
    return [each for each in events(state["episodes"]) if each["event_id"] not in told]


def tell(case: str, new: list[dict], say: Reporter) -> list[dict]:
    """Tell events everywhere that settings.ini names; returns those that were told everywhere.

    What cannot be told is said, and tried again in the next pass, so that it may come twice with the same id, and is never lost.
    """
    told = []
    for event in new:
        try:
            _to_alertmanager(case, event)
            _by_mail(case, event)
        except (OSError, ValueError, smtplib.SMTPException) as error:
            say(f"cannot tell {event['event_id']}: {error}; the next pass tries again")
            continue
        told.append(event)
    _to_file(case, told)
    return told


def file(case: str) -> Path:
    """Return where the lines of a case are."""
    return Path(settings.read("data.root")) / "08_reporting" / case / FILE


def _to_file(case: str, told: list[dict]) -> None:
    if not told:
        return
    path = file(case)
    before = path.read_bytes() if path.is_file() else b""
    known = {json.loads(line)["event_id"] for line in before.splitlines() if line}
    lines = [json.dumps(event).encode() + b"\n" for event in told if event["event_id"] not in known]
    if lines:
        disk.write_atomically(path, before + b"".join(lines))


def _to_alertmanager(case: str, event: dict[str, Any]) -> None:
    """Post to Alertmanager's API v2 (its OpenAPI specification, ``postAlerts``)."""
    url = settings.read("alerts.alertmanager")
    if not url:
        return
    body: dict[str, Any] = {
        "labels": {
            "alertname": "Hardcover" + event["test"].title().replace(" ", ""),
            "severity": event["tier"],
            "case": case,
            "episode": event["id"],
        },
        "annotations": {
            "summary": event["what"],
            "description": "; ".join(event["why"]),
            "next": event["next"],
            "wheel": event["wheel"],
        },
        "startsAt": _rfc3339(event["since"]),
    }
    if event["until"]:
        body["endsAt"] = _rfc3339(event["until"])
    request = urllib.request.Request(
        url.rstrip("/") + "/api/v2/alerts", json.dumps([body]).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=SECONDS):
        pass


def _rfc3339(moment: str) -> str:
    return moment + ("" if moment.endswith("Z") else "Z")


def _by_mail(case: str, event: dict[str, Any]) -> None:
    to = settings.read("alerts.mail_to")
    if not to or event["tier"] != PAGE:
        return
    message = EmailMessage()
    message["Subject"] = f"[{case}] {event['event']}: {event['what']}"
    message["From"], message["To"] = settings.read("alerts.mail_from"), to
    message["Message-ID"] = f"<{event['event_id']}@hardcover>"
    message.set_content(words(event))
    host, _, port = settings.read("alerts.smtp").partition(":")
    with smtplib.SMTP(host, int(port or 25), timeout=SECONDS) as server:
        server.send_message(message)


def words(event: dict[str, Any]) -> str:
    """Return an episode for people: what, how bad, why, which rows, which wheel, and the next command."""
    loss = event["loss"]
    lines = [f"{event['tier']} {event['id']}, {event['test']}: {event['what']}"]
    if loss:
        lines.append(
            f"  each row costs {loss['more']:+.4g} {loss['unit']} more ({loss['low']:+.4g} to {loss['high']:+.4g})"
        )
    lines += [f"  {why}" for why in event["why"]]
    until = f" until {event['until'][:16]}" if event["until"] else ""
    lines.append(f"  since {event['since'][:16]}{until}, {event['rows']} rows, answered by {event['wheel']}")
    return "\n".join([*lines, f"  next: {event['next']}"])


def tables(state: dict[str, Any]) -> bytes | None:
    """Return what services are told of how sure a champion's answers are (`coverage.seen`), as the content of a file; None where that is its wheel's own word."""
    known = state.get("coverage")
    # A pointer is read with its whole wheel.
    pointer = publish.current(state["case"]) if known else None
    if pointer is None or pointer["wheel"] != known["wheel"]:
        return None
    facts = {"format": TABLES, "case": state["case"], "sha256": pointer["sha256"]}
    facts |= {"version": f"{state['case']}.watch@{known['pass']}", **known}
    return json.dumps(facts, indent=1).encode()


def has_tables(state: dict[str, Any]) -> bool:
    """Check whether services can read what they are to be told."""
    return _content(publish.confidence_file(state["case"])) == tables(state)


def tell_tables(state: dict[str, Any]) -> None:
    """Let services read it."""
    file, content = publish.confidence_file(state["case"]), tables(state)
    if content is None:
        file.unlink(missing_ok=True)
    elif _content(file) != content:
        disk.write_atomically(file, content)


def _content(file: Path) -> bytes | None:
    return file.read_bytes() if file.exists() else None
