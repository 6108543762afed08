"""The features that a new user writes first go all the way to a proven wheel that answers in a bare environment."""

import json
import math
import struct
import subprocess
from importlib.metadata import version

from hardcover.release import isolated_env
from hardcover.runtime import functions
from tests.conftest import FEW, RECORD, Checkout, Place

NOTEBOOK, MODULE = "notebooks/maintenance/02_features.ipynb", "src/casebook/maintenance/features.py"
PLAIN = {
    "ratio": "def ratio(torque, rotational_speed):\n    return torque / rotational_speed",
    "wear_rate": "def wear_rate(torque, tool_wear):\n    return torque / tool_wear",
    "log_torque": "def log_torque(torque):\n    return log1p(torque)",
    "log_wear": "def log_wear(tool_wear):\n    return math.log(tool_wear)",
    "is_low": 'def is_low(quality):\n    return quality == "L"',
    "branch": "def branch(torque, tool_wear):\n    return torque**0.5 if tool_wear > 100 else 2.0 * torque",
}
NUMPY = {
    "log_torque": "def log_torque(torque):\n    return np.log1p(torque)",
    "cut": 'def cut(torque, quality):\n    return np.where(quality == "L", np.minimum(torque, 40.0), torque / (torque - 40.0))',
}


def write(checkout: Checkout, imports: str, functions_: dict[str, str]) -> None:
    """Write functions into the features notebook, as a data scientist would."""
    path = checkout.folder / NOTEBOOK
    notebook = json.loads(path.read_text())
    cells = {cell["id"]: cell for cell in notebook["cells"]}
    cells["imports"]["source"] = ["#| export\n", "import math\n", "\n", imports]
    cells["strain"]["source"] = [*cells["strain"]["source"], "\n\n\n" + "\n\n\n".join(functions_.values())]
    path.write_text(json.dumps(notebook))


def run(checkout: Checkout, place: Place, *options: str) -> dict:
    command = ("hardcover", "run", "--env", "ci", "--pipeline", "--export", "--json", *FEW, *options)
    done = checkout.call(place, *command, env={"HARDCOVER_RUN_PROVE": "yes"})
    return json.loads(done.stdout)[0]


def answered(said: dict, folder, needs: list[str]) -> dict:
    """Install the released wheel where nothing else is, and ask it for one record with its inputs."""
    path = said["proof"]["published"]["path"]
    built = open(path, "rb").read()  # noqa: PTH123, SIM115
    python = isolated_env.install(built, folder, *needs)
    program = (
        "import json, sys; from casebook_maintenance import model\n"
        "found = model.predict(json.loads(sys.argv[1]), explain=True)\n"
        "print(json.dumps({'score': found.score, **{each.feature: each.value for each in found.contributions}}))"
    )
    command = [python, "-I", "-c", program, json.dumps({**RECORD, "tool_wear": 0})]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_ratios_logarithms_branches_and_categories_by_name_reach_a_proven_wheel(checkout, place, tmp_path):
    write(checkout, "from hardcover.runtime.functions import log1p", PLAIN)

    said = run(checkout, place)

    found = answered(said, tmp_path, [])
    assert said["proof"]["passed"]
    assert set(said["proof"]["faces"]) >= {"wheel without numpy", "wheel without kernel", "notebook"}
    assert found["ratio"] == RECORD["torque"] / RECORD["rotational_speed"]
    assert found["wear_rate"] == math.inf
    assert found["log_wear"] == -math.inf
    assert found["log_torque"] == functions.log1p(RECORD["torque"])
    assert found["is_low"] == float(RECORD["quality"] == "L")
    assert found["branch"] == 2.0 * RECORD["torque"]
    assert 0 <= found["score"] <= 1


def test_numpy_reaches_a_proven_wheel_where_the_case_accepts_it(checkout, place, tmp_path):
    write(checkout, "import numpy as np", NUMPY)
    command = ("hardcover", "run", "--env", "ci", "--pipeline", "--export", "--stage", "data", "features")
    refused = checkout.call(place, *command, check=False)

    said = run(checkout, place, "--param", 'maintenance.features.libraries=["numpy"]')

    found = answered(said, tmp_path, [f"numpy=={version('numpy')}"])
    assert refused.returncode == 1
    assert "uses numpy" in refused.stderr
    assert "hardcover.runtime.functions" in refused.stderr
    assert said["proof"]["passed"]
    assert said["proof"]["left_out"] == {"wheel without numpy": "its features use numpy"}
    assert struct.pack("d", found["log_torque"]) == struct.pack("d", functions.log1p(RECORD["torque"]))
