"""What the service answers: a table of paths, and the releases behind it. Knows no socket; `http` and `asgi` carry for it."""

import logging
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import orjson

from hardcover.runtime.prediction import as_json
from hardcover.serving import inference, openapi
from hardcover.serving.asked import parsed
from hardcover.serving.counters import Counters
from hardcover.serving.exchange import JSON, TEXT, VERSION, Answer, Call, Refused, Request, unlogged
from hardcover.serving.prediction_log import PredictionLog
from hardcover.serving.records import Scored, Scoring, refusal_of
from hardcover.serving.release import Release, Served
from hardcover.serving.shadow import Shadow

ENDPOINTS = ("predict", "explain", "rank", "events", "infer", "other")
# Asked for by those who watch; answered however busy the worker is.
WATCHED = frozenset(
    b"/livez /readyz /metrics /v2/health/live /v2/health/ready /grpc.health.v1.Health/Check "
    b"/inference.GRPCInferenceService/ServerLive /inference.GRPCInferenceService/ServerReady".split()
)
_log = logging.getLogger("hardcover.serving")
_Handler = Callable[[Request], Answer]


def counters_of(served: Iterable[Served], workers: int, folder: Path | None = None) -> Counters:
    """Return counters for workers that answer with these releases; ``folder`` as `Counters` takes it."""
    return Counters(workers, ENDPOINTS, [name for each in served for name in each.champion.fields], folder)


class App:
    """Answers requests.

    Parameters
    ----------
    served
        What is served.
    counters
        Where is counted.

    Attributes
    ----------
    ready, draining
        Whether requests are welcome; and whether each answer ends its connection.
    took
        Nanoseconds of the last answer.
    log
        Where answers are kept; None: nowhere.
    shadow
        What challengers are to be asked.
    """

    def __init__(self, served: Iterable[Served], counters: Counters):
        self.counters, self.ready, self.draining = counters, True, False
        self.took = 0
        self.log: PredictionLog | None = None
        self.served: dict[str, Served] = {}
        self._routes: dict[bytes, dict[bytes, tuple[int, _Handler]]] = {}
        self.shadow = Shadow(counters)
        self._scorings: dict[str, Scoring] = {}
        self._learned: list[Callable[[App, Callable], None]] = []
        self.take(served)

    def take(self, served: Iterable[Served]) -> None:
        """Answer by these releases from the next request on."""
        found = {each.champion.name: each for each in served}
        self._scorings = {
            release.digest: Scoring(release, self.counters)
            for each in found.values()
            for release in each.roles.values()
        }
        self.served, self._routes = found, self._table(found)

    def learn(self, routes: "Callable[[App, Callable], None]") -> None:
        """Answer at more paths, too: ``routes`` is called with the app and with what adds one."""
        if routes not in self._learned:
            self._learned.append(routes)
            self._routes = self._table(self.served)

    def answer(self, request: Request) -> Answer:
        """Answer a request; whatever goes wrong is an answer, too."""
        began, endpoint = time.perf_counter_ns(), len(ENDPOINTS) - 1
        try:
            handlers = self._routes.get(request.path)
            if handlers is None and b"%" in request.path:
                handlers = self._routes.get(unquote_to_bytes(request.path))
            if handlers is None:
                raise Refused(
                    501 if type(request) is Call else 404,
                    f"there is nothing at {request.path[:200].decode('ascii', 'replace')}; see /openapi.json",
                )
            method = b"GET" if request.method == b"HEAD" else request.method
            found = handlers.get(method)
            if found is None:
                allowed = b", ".join([*handlers, *([b"HEAD"] if b"GET" in handlers else [])])
                detail = (
                    f"{request.method.decode('ascii', 'replace')} is not answered here, {allowed.decode()} is"
                )
                raise Refused(405, detail, b"allow: %s\r\n" % allowed)
            endpoint, handler = found
            answer = handler(request)
        except Refused as refused:
            answer = refused.answer()
            if refused.status == 422:
                self.counters.invalid(each["field"] for each in refused.members["problems"])
        except Exception:
            _log.exception("a request to %s failed", request.path)
            answer = Refused(500, "the service failed; its log says why").answer()
        self.took = time.perf_counter_ns() - began
        self.counters.request(endpoint, answer.status, self.took)
        return answer

    def _table(self, served: dict[str, Served]) -> dict[bytes, dict[bytes, tuple[int, _Handler]]]:
        found: dict[bytes, dict[bytes, tuple[int, _Handler]]] = {}

        def add(path: str, method: str, handler: _Handler, endpoint: str = "other") -> None:
            found.setdefault(path.encode(), {})[method.encode()] = (ENDPOINTS.index(endpoint), handler)

        add("/livez", "GET", lambda _: Answer(200, TEXT, b"alive\n"))
        for path in ("/readyz", "/v2/health/ready"):
            add(path, "GET", self._readyz)
        add("/v2/health/live", "GET", lambda _: Answer(200, JSON, b'{"live":true}'))
        add("/metrics", "GET", lambda _: Answer(200, TEXT, self.counters.text(self._models())))
        add("/v1/models", "GET", lambda _: _json([self._about(each) for each in self.served.values()]))
        document = orjson.dumps(openapi.document([each.champion for each in served.values()]))
        add("/openapi.json", "GET", lambda _: Answer(200, JSON, document))
        page = (Path(__file__).parent / "page.html").read_bytes()
        add("/", "GET", lambda _: Answer(200, b"text/html; charset=utf-8", page, openapi.PAGE_POLICY))
        about = {"name": "hardcover", "version": VERSION, "extensions": ["binary_tensor_data"]}
        add("/v2", "GET", lambda _: _json(about))
        for name, each in served.items():
            self._model(add, name, each)
        for routes in self._learned:
            routes(self, add)
        return found

    def _model(self, add: Callable, name: str, served: Served) -> None:
        mine = f"/v1/models/{name}"
        add(mine, "GET", lambda _: _json(self._about(served)))
        add(f"{mine}/profile", "GET", lambda _: _json(self.scoring(served.champion).watched.told()))
        add(f"{mine}/predict", "POST", lambda request: self._records(served, request, False), "predict")
        add(f"{mine}/explain", "POST", lambda request: self._records(served, request, True), "explain")
        add(f"{mine}/rank", "POST", lambda request: self._rank(served, request), "rank")
        add(f"{mine}/events", "POST", lambda request: self._events(served, request), "events")
        for path in (f"/v2/models/{name}", f"/v2/models/{name}/versions/{served.champion.version}"):
            add(path, "GET", lambda _: _json(inference.metadata(self.scoring(served.champion))))
            add(f"{path}/ready", "GET", self._readyz)
            add(f"{path}/infer", "POST", lambda request: self._infer(served, request), "infer")

    def scoring(self, release: Release) -> Scoring:
        """Return what answers by a release."""
        return self._scorings[release.digest]

    def _records(self, served: Served, request: Request, explain: bool) -> Answer:
        release = served.champion
        if served.share > 0.0:
            release = served.chosen(request, _plain_record(request))
            # By a field, requests of one unit go together, and are no draws of their own.
            if served.challenger is not None and served.by is None:
                self.counters.add("divided")
                self.counters.add("challenged", release is served.challenger)
                self.counters.add("challenged_expected_ppm", int(served.share * 1_000_000))
        return self.kept(release, request, lambda: self._scored(served, release, request, explain))

    def _scored(self, served: Served, release: Release, request: Request, explain: bool) -> Scored:
        scored = self.scoring(release).answer(request, explain)
        if served.challenger is not None and release is served.champion and not release.has_windows:
            self.shadow.add(served.challenger, scored)
        return scored

    def kept(self, release: Release, request: Request, score: Callable[[], Scored]) -> Answer:
        """Answer by ``score``, count its records, and keep them in the log, where there is one.

        Raises
        ------
        Refused
            With 503 where the log cannot be written and must be; and as ``score``.
        """
        log, began = self.log, time.perf_counter_ns()
        if log is not None and log.is_failing and (log.policy.required or log.policy.durable):
            raise unlogged()
        scored = self.scoring(release).watched.whole(score)
        self.counters.add("records", scored.rows)
        if log is None:
            return scored.answer
        name = log.add(release, request, scored.inputs, scored.found, time.perf_counter_ns() - began)
        return scored.answer._replace(lines=scored.answer.lines + b"x-request-id: %s\r\n" % name)

    def _infer(self, served: Served, request: Request) -> Answer:
        scoring = self.scoring(served.champion)
        return self.kept(served.champion, request, lambda: inference.infer(scoring, request))

    def _rank(self, served: Served, request: Request) -> Answer:
        return self.kept(served.champion, request, lambda: self._ranked(served, request))

    def _ranked(self, served: Served, request: Request) -> Scored:
        given, scoring = parsed(request.body), self.scoring(served.champion)
        wrong = type(given) is not dict or type(given.get("candidates")) is not list
        if wrong or type(given.get("query", {})) is not dict or set(given) - {"query", "candidates", "top"}:
            raise Refused(400, "give {'query': {…}, 'candidates': [{…}, …], 'top': 10}")
        top = given.get("top")
        if top is not None and (type(top) is not int or top < 0):
            raise Refused(400, "'top' is no number of candidates")
        try:
            found = served.champion.model.rank(given.get("query", {}), given["candidates"], top)
        except scoring.invalid_record as error:
            raise Refused(
                422,
                "a candidate is wrong; see 'problems'",
                problems=[each._asdict() for each in error.problems],
            ) from error
        except (TypeError, AttributeError) as error:
            raise Refused(400, "a candidate is no object") from error
        except Exception as error:
            raise refusal_of(error) from error
        ranked = [{"candidate": at, **as_json(prediction)} for at, prediction in found]
        shown = [{**given.get("query", {}), **given["candidates"][at]} for at, _ in found]
        answer = scoring.told(JSON, orjson.dumps(ranked))
        unnamed = len(given["candidates"]) - len(found)
        return Scored(answer, shown, [prediction for _, prediction in found], unnamed)

    def _events(self, served: Served, request: Request) -> Answer:
        given, scoring = parsed(request.body), self.scoring(served.champion)
        new = 0
        for event in given if type(given) is list else [given]:
            try:
                new += served.champion.model.observe(event)
            except scoring.invalid_record as error:
                raise Refused(
                    422,
                    f"{new} events were kept, then one is wrong; see 'problems'",
                    problems=[each._asdict() for each in error.problems],
                ) from error
            except Exception as error:
                raise refusal_of(error) from error
        self.counters.add("events", new)
        return scoring.told(JSON, orjson.dumps({"new": new}))

    @property
    def is_ready(self) -> bool:
        """Whether requests are welcome."""
        return self.ready and not self.draining

    def _readyz(self, _: Request) -> Answer:
        if self.is_ready:
            return Answer(200, JSON, b'{"ready":true}')
        return Answer(503, JSON, b'{"ready":false}', b"retry-after: 1\r\n")

    def _models(self) -> Iterable[tuple[str, str, str, str]]:
        for name, each in self.served.items():
            for role, release in each.roles.items():
                yield name, role, release.version, release.digest

    def _about(self, served: Served) -> dict:
        model = served.champion.model
        return {
            "name": served.champion.name,
            "releases": [
                {"role": role, "version": release.version, "digest": release.digest}
                for role, release in served.roles.items()
            ],
            "evaluator": type(model.evaluator).__name__,
            "about": model.about,
            "proof": model.proof,
            "schema": model.schema,
        }


def _json(found: Any) -> Answer:
    return Answer(200, JSON, orjson.dumps(found))


def _plain_record(request: Request) -> Any:
    try:
        return orjson.loads(request.body)
    except orjson.JSONDecodeError:
        return None
