"""``hardcover serve``: answer by HTTP and gRPC with released wheels."""

import argparse
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

PURPOSE = "answer by HTTP and gRPC with released wheels"
DESCRIPTION = """Answer by HTTP and gRPC with released wheels: JSON, JSON lines, Arrow, and the Open Inference Protocol. A case is served by
its champion and takes over the next one as soon as that is released, promoted or rolled back to; a wheel's file, by itself. GET / is a page to try it,
/openapi.json describes it, /metrics is for Prometheus. SIGTERM ends it after the requests that came."""
EXAMPLES = """examples:
  hardcover serve churn
  hardcover serve churn fraud --port 8080 --workers 4 --histories sqlite:histories.db
  hardcover serve dist/churn-0.1.0+m1234567-py3-none-linux_x86_64.whl
  hardcover serve churn --log /var/log/churn
  hardcover serve churn --budget 200 --explain-budget 5 --caller x-api-client
  OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318 hardcover serve churn --span-share 0.01
  hardcover serve churn --challenger candidate.whl --share 0.1 --by customer
  curl localhost:8000/v1/models/churn/predict -H 'content-type: application/json' -d '{"tenure": 3, ...}'
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("what", nargs="+", metavar="CASE|WHEEL", help="what to serve")
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (%(default)s); 0.0.0.0 is every one"
    )
    parser.add_argument("--port", type=int, default=8000, help="port (%(default)s); 0 takes one that is free")
    parser.add_argument("--workers", type=int, default=1, help="processes (%(default)s)")
    parser.add_argument(
        "--challenger",
        action="append",
        default=[],
        metavar="CASE|WHEEL",
        help="compare with it in the shadow of answers; a case: with its challenger, whenever there is one",
    )
    parser.add_argument(
        "--share", type=float, default=0.0, help="share of records that the challenger answers (%(default)s)"
    )
    parser.add_argument(
        "--by", metavar="FIELD", help="with --share: whose records are always answered by the same"
    )
    parser.add_argument(
        "--histories",
        metavar="PLACE",
        help="events for windows: sqlite:PATH or valkey://HOST:PORT/PREFIX; default: memory",
    )
    parser.add_argument(
        "--keep-all", action="store_true", help="keep events that lie before the longest window, too"
    )
    parser.add_argument(
        "--log", metavar="FOLDER", help="keep what is answered there; hardcover collect makes tables of it"
    )
    parser.add_argument(
        "--log-share", type=float, default=1.0, help="share of the requests that are kept (%(default)s)"
    )
    parser.add_argument(
        "--log-inputs",
        choices=["yes", "digest", "no"],
        default="yes",
        help="keep the records, or their SHA-256",
    )
    parser.add_argument(
        "--log-required", action="store_true", help="answer nothing while the log cannot be written"
    )
    parser.add_argument(
        "--log-durable",
        action="store_true",
        help="let an answer leave only when it is on the disk (some milliseconds); without a disk, none",
    )
    parser.add_argument(
        "--span-share",
        type=float,
        metavar="SHARE",
        help="send OpenTelemetry spans of this share of the requests, and of those whose traceparent says so; OTEL_EXPORTER_OTLP_ENDPOINT says where to",
    )
    parser.add_argument(
        "--max-body", type=int, default=8, metavar="MB", help="of a request at most (%(default)s)"
    )
    parser.add_argument(
        "--patience",
        type=float,
        default=10,
        metavar="MS",
        help="wait for other requests before 503 (%(default)s)",
    )
    parser.add_argument(
        "--budget",
        type=float,
        default=0,
        metavar="N",
        help="requests a second of one caller at most, at each worker; above, 429 (default: no limit)",
    )
    parser.add_argument(
        "--explain-budget", type=float, default=0, metavar="N", help="the same for explanations, besides"
    )
    parser.add_argument(
        "--caller",
        default="x-caller",
        metavar="HEADER",
        help="the header that names a caller; who has none goes by address (%(default)s)",
    )
    parser.add_argument(
        "--delay",
        type=float,
        default=0,
        metavar="S",
        help="at SIGTERM: not ready, and accept still (%(default)s)",
    )
    parser.add_argument(
        "--grace", type=float, default=10, metavar="S", help="then at most for open connections (%(default)s)"
    )


def do(options: argparse.Namespace) -> int:
    """Serve until SIGTERM or Ctrl-C; 0 then."""
    from hardcover.errors import HardcoverError
    from hardcover.serving import spans
    from hardcover.serving.budgets import Budget
    from hardcover.serving.carrier import Limits
    from hardcover.serving.prediction_log import Policy
    from hardcover.serving.sources import Source
    from hardcover.serving.supervisor import Supervisor
    from hardcover.serving.worker import Settings

    shares = (options.share, options.log_share, options.span_share or 0.0)
    if options.workers < 1 or not 0 <= options.port < 65536 or not all(0 <= each <= 1 for each in shares):
        fix = "Give at least one worker, a port from 0 to 65535, and shares from 0 to 1."
        raise HardcoverError("an option is out of range", "--workers, --port or a share", fix)
    if not options.log and (options.log_durable or options.log_required):
        fix = "Say with --log in which folder answers are kept."
        raise HardcoverError("there is no log", "--log-durable or --log-required", fix)
    if options.span_share is not None:
        spans.check()
    sources = [Source.of(name) for name in options.what]
    sources += [Source.of(name, "challenger") for name in options.challenger]
    log = None
    if options.log:
        log = Policy(
            folder=str(Path(options.log).resolve()),
            share=options.log_share,
            inputs=options.log_inputs,
            required=options.log_required,
            durable=options.log_durable,
        )
    budget = Budget(options.budget, options.explain_budget, options.caller.lower().encode())
    settings = Settings(
        histories=_absolute(options.histories),
        keep_all=options.keep_all,
        share=options.share,
        by=options.by,
        limits=Limits(max_body=options.max_body * 2**20, patience=options.patience / 1000, budget=budget),
        delay=options.delay,
        grace=options.grace,
        log=log,
        span_share=options.span_share,
    )
    say = _say_json if options.json or not sys.stderr.isatty() else _say
    Supervisor(sources, options.host, options.port, options.workers, settings, say).run()
    return 0


def _absolute(place: str | None) -> str | None:
    if place is None or not place.startswith("sqlite:"):
        return place
    return f"sqlite:{Path(place.removeprefix('sqlite:')).resolve()}"


def _say(event: str, **facts: Any) -> None:
    if event == "serving":
        models = ", ".join(f"{name} {version}" for name, version in facts["models"].items())
        print(f"serving {models}\n  http://{facts['address']}/", file=sys.stderr, flush=True)
    else:
        told = ", ".join(f"{name} {value}" for name, value in facts.items())
        print(f"{event}: {told}", file=sys.stderr, flush=True)


def _say_json(event: str, **facts: Any) -> None:
    time = datetime.now(UTC).isoformat(timespec="milliseconds")
    print(json.dumps({"time": time, "event": event, **facts}), file=sys.stderr, flush=True)
