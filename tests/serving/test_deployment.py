"""Files of a deployment, each before what will read it: the API's schemas, promtool, and a proxy between a client and two servers."""

import ast
import json
import os
import re
import shutil
import signal
import subprocess
import time

import pytest
import yaml

from hardcover.cli import main as cli
from hardcover.release import publish
from hardcover.serving import deployment
from hardcover.store import disk
from tests.conftest import eventually, free_port
from tests.serving.conftest import ask

ASKED = deployment.Deployment(
    "failure_mode", "casebook_failure_mode-1.0.0-py3-none-any.whl", "models/failure-mode:1", 3, 2
)
VALIDATE = """
import json, sys, kubernetes_validate as check
for each in json.load(sys.stdin):
    check.validate(each, check.latest_version(), strict=True)
"""
needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed; .ci/run installs it"
)
needs_haproxy = pytest.mark.skipif(
    shutil.which("haproxy") is None, reason="haproxy is not installed; .ci/run installs it"
)


def of_kind(kind: str) -> dict:
    (found,) = [each for each in deployment.kubernetes(ASKED) if each["kind"] == kind]
    return found["spec"]


def validated(others, documents: list[dict]) -> subprocess.CompletedProcess:
    command = [others / "python", "-c", VALIDATE]
    return subprocess.run(command, input=json.dumps(documents), capture_output=True, text=True, check=False)


def test_manifests_follow_the_schemas_of_the_api(others):
    written = list(yaml.safe_load_all(deployment.files(ASKED)["kubernetes.yaml"]))
    assert written == deployment.kubernetes(ASKED)
    done = validated(others, written)
    assert done.returncode == 0, done.stderr
    # The container of an InferenceService is a pod's.
    pod = deployment.kserve(ASKED)["spec"]["predictor"]
    pod = {name: value for name, value in pod.items() if not name.endswith("Replicas")}
    done = validated(others, [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": pod}])
    assert done.returncode == 0, done.stderr

    wrong = json.loads(json.dumps(written).replace("periodSeconds", "periodsSeconds"))
    assert validated(others, wrong).returncode == 1


def test_probes_and_drain_are_those_of_the_server(app):
    (container,) = of_kind("Deployment")["template"]["spec"]["containers"]
    for name in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert ask(app, container[name]["httpGet"]["path"], method="GET").status == 200
    words = deployment.command(ASKED.wheel, ASKED.workers)
    options = cli.parser().parse_args(words[1:])
    pod = of_kind("Deployment")["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] > options.delay + options.grace
    # Who routes to it learns that it is not ready before it takes no more connections.
    probe = container["readinessProbe"]
    assert options.delay > probe["periodSeconds"] * probe["failureThreshold"] + probe["timeoutSeconds"]
    assert (options.port, options.workers) == (container["ports"][0]["containerPort"], 2)
    assert json.dumps(words) in deployment.files(ASKED)["Containerfile"]


def test_all_that_repeats_a_pass_asks_for_the_same_command():
    files = deployment.files(ASKED)
    for name in ("hardcover-cycle.service", "cycle-workflow.yml", "cycle_dag.py"):
        (words,) = re.findall(r"hardcover (cycle failure_mode[\w /.-]*)", files[name])
        options = cli.parser().parse_args(words.split())
        assert (options.case, str(options.log)) == ("failure_mode", "/var/log/hardcover")
    (call,) = [
        each
        for each in ast.walk(ast.parse(files["cycle_dag.py"]))
        if isinstance(each, ast.Call) and "Bash" in ast.unparse(each.func)
    ]
    assert {each.arg: ast.literal_eval(each.value) for each in call.keywords}["skip_on_exit_code"] == 3


def test_a_deployment_is_written_once_with_its_wheel(here, wheel, tmp_path, capsys):
    content = wheel.read_bytes()
    disk.write_atomically(here.dist / wheel.name, content)
    facts = {"case": "maintenance", "wheel": wheel.name, "sha256": disk.digest_of(content)}
    publish.promote(facts, "run")
    command = ["deploy", "maintenance", "--to", str(tmp_path / "to"), "--image", "registry.example.org/m"]

    assert cli.main([*command, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert {*said["files"]} == {path.name for path in (tmp_path / "to").iterdir()}
    assert {wheel.name, "Containerfile", "kubernetes.yaml", "kserve.yaml", "haproxy.cfg"} < {*said["files"]}
    assert re.fullmatch(r"registry\.example\.org/m:[\w.-]+", said["image"])
    assert (tmp_path / "to" / wheel.name).read_bytes() == content
    assert cli.main(command) == 1
    assert "there is something already" in capsys.readouterr().err
    assert cli.main(["deploy", "fraud", "--to", str(tmp_path / "other")]) == 1
    assert not (tmp_path / "other").exists()


def expressions() -> list[str]:
    dashboard = json.loads((deployment.OPERATIONS / "grafana-dashboard.json").read_text())
    found = [each["expr"] for panel in dashboard["panels"] for each in panel["targets"]]
    return [each.replace("$__rate_interval", "5m").replace("$job", ".*") for each in found]


def promtool(*arguments: object, given: str | None = None) -> str:
    done = subprocess.run(
        ["promtool", *map(str, arguments)], input=given, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@needs_promtool
def test_promtool_accepts_rules_dashboard_and_metrics(app, tmp_path):
    rules = deployment.OPERATIONS / "prometheus-rules.yaml"
    promtool("check", "rules", "--lint=all", "--lint-fatal", rules)
    asked = [{"record": f"panel:{at}", "expr": each} for at, each in enumerate(expressions())]
    (tmp_path / "panels.yaml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": asked}]}))
    promtool("check", "rules", tmp_path / "panels.yaml")

    ask(app, "/v1/models/maintenance/predict", {})
    text = ask(app, "/metrics", method="GET").body.decode()
    promtool("check", "metrics", given=text)
    told = {
        re.sub(r"_(bucket|sum|count)$", "", name) for name in re.findall(r"^# TYPE (\S+)", text, re.MULTILINE)
    }
    used = set(re.findall(r"(?:hardcover|process)_\w+", rules.read_text() + "\n".join(expressions())))
    assert {re.sub(r"_(bucket|sum|count)$", "", name) for name in used} <= told


ALERTS = {
    "HardcoverFails": 'hardcover_requests_total{status="500", endpoint="predict"}',
    "HardcoverTurnsAway": "hardcover_shed_total",
    "HardcoverLogFails": "hardcover_log_lost_total",
    "HardcoverSampleRatio": "hardcover_challenged_total",
}


@needs_promtool
@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_fires_when_it_should_and_else_is_quiet(tmp_path, alert):
    def series(name: str, values: str) -> dict:
        labels = name.partition("{")[2].rstrip("}")
        told = ", ".join(filter(None, [labels, 'job="models"', 'instance="a"']))
        return {"series": f"{name.partition('{')[0]}{{{told}}}", "values": values}

    always = [
        series('hardcover_requests_total{status="200", endpoint="predict"}', "0+600x60"),
        series("hardcover_ready", "2x60"),
        series("hardcover_log_failing", "0x60"),
        series("hardcover_divided_total", "0+70x60"),
        series("hardcover_challenged_expected_ppm_total", "0+7000000x60"),
    ]

    def case(values: str, expected: int) -> dict:
        return {
            "interval": "1m",
            "input_series": [*always, series(ALERTS[alert], values)],
            "promql_expr_test": [
                {
                    "expr": f'count(ALERTS{{alertname="{alert}", alertstate="firing"}}) or vector(0)',
                    "eval_time": "50m",
                    "exp_samples": [{"labels": "{}", "value": expected}],
                }
            ],
        }

    rules = str(deployment.OPERATIONS / "prometheus-rules.yaml")
    quiet = "0+7x60" if alert == "HardcoverSampleRatio" else "7x60"
    tests = [case("0+60x60", 1), case(quiet, 0)]
    tests = {"rule_files": [rules], "evaluation_interval": "1m", "tests": tests}
    (tmp_path / "tests.yaml").write_text(yaml.safe_dump(tests))
    assert "SUCCESS" in promtool("test", "rules", tmp_path / "tests.yaml")


@needs_haproxy
def test_who_asks_through_a_proxy_does_not_notice_that_a_server_was_killed(serve, wheel, load, tmp_path):
    servers, port = [serve(wheel) for _ in range(2)], free_port()
    text = deployment.haproxy([each.address for each in servers], bind=f"127.0.0.1:{port}")
    (tmp_path / "haproxy.cfg").write_text(text)
    subprocess.run(["haproxy", "-c", "-f", tmp_path / "haproxy.cfg"], check=True, capture_output=True)
    with subprocess.Popen(
        ["haproxy", "-db", "-f", tmp_path / "haproxy.cfg"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as proxy:
        try:
            servers[0].address, direct = f"127.0.0.1:{port}", servers[0].address
            assert eventually(lambda: servers[0].ask("/readyz", method="GET")[0] == 200, 20)
            clients = load(servers[0].address)
            time.sleep(0.5)
            for pid in [*servers[1].workers(), servers[1].process.pid]:
                os.kill(pid, signal.SIGKILL)
            time.sleep(1.5)
            for each in clients:
                each.end()
            servers[0].address = direct
        finally:
            proxy.terminate()

    assert [each.broken for each in clients] == [[], [], []]
    assert all(len(each.answers) > 20 for each in clients)
