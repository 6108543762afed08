"""The application on Ray Serve; in the soak on a cluster of several raylets on this machine, of which all but one are lost."""

import json
import os
import subprocess

from hardcover.serving.deployment import Deployment, ray_serve
from tests.conftest import RECORD, ROOT, environment, free_port
from tests.serving.conftest import PREDICT, often

CLUSTER = """
import json, sys, time, urllib.request
import ray
from ray import serve
from ray.cluster_utils import Cluster
from ray.serve.schema import ServeDeploySchema
from hardcover.serving.on_ray import application

wheel, port, path, count = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
rows, config = map(json.loads, sys.argv[5:])
(deployed,) = ServeDeploySchema(**config).applications
assert deployed.import_path == f"{application.__module__}:{application.__name__}"
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
others = [cluster.add_node(num_cpus=1) for _ in range(count - 1)]
ray.init(address=cluster.address, log_to_driver=False)
serve.start(http_options={"host": "127.0.0.1", "port": port})
# Each node has one processor, so each has one replica.
serve.run(application({**deployed.args, "wheel": wheel}), route_prefix=deployed.route_prefix)

def ask(row):
    given = {"content-type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", json.dumps(row).encode(), given)
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)["score"], answer.headers["hardcover-release"]

def nodes():
    (deployment,) = serve.status().applications["default"].deployments.values()
    return {str(state): count for state, count in deployment.replica_states.items()}

found = {"replicas": nodes(), "before": [ask(row) for row in rows]}
for other in others:
    cluster.remove_node(other)
found["after"], lost = [], 0
while len(found["after"]) < len(rows):
    try:
        found["after"].append(ask(rows[len(found["after"])]))
    except OSError:
        lost += 1
        assert lost < 100
        time.sleep(0.1)
print("found " + json.dumps(found))
serve.shutdown()
ray.shutdown()
cluster.shutdown()
"""


def test_replicas_answer_as_the_wheel_and_go_on_where_a_node_is_lost(wheel, release, tmp_path):
    # A raylet costs ten seconds; several are for the soak.
    nodes = often(1, 3)
    rows = [{**RECORD, "torque": 20.0 + torque} for torque in range(20)]
    config = ray_serve(Deployment("maintenance", wheel.name, "maintenance:1", replicas=nodes))
    # Ray kills a proxy that needs more than five seconds to import what it needs, as it does on a busy machine.
    patience = {"RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60", "RAY_SERVE_PROXY_HEALTH_CHECK_TIMEOUT_S": "60"}
    variables = {
        "PYTHONPATH": str(ROOT / "src"),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_TMPDIR": "/tmp",
        **patience,
    }
    facts = [str(wheel), str(free_port()), PREDICT, str(nodes), json.dumps(rows), json.dumps(config)]
    done = subprocess.run(
        [environment("ray") / "python", "-c", CLUSTER, *facts],
        env={**os.environ, **variables},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("found "))[6:])
    expected = [release.model.predict(row).score for row in rows]
    assert found["replicas"] == {"RUNNING": nodes}
    for answers in (found["before"], found["after"]):
        assert [score for score, _ in answers] == expected
        assert {told for _, told in answers} == {f"{release.version} {release.digest}"}
