"""The library knows no name of the project: renamed throughout, it is proven as before."""

import json
import re
from pathlib import Path

from tests.conftest import FEW, ROOT


def test_a_project_with_another_package_and_other_columns_is_proven(checkout, place):
    from casebook.maintenance import data

    folder = checkout.folder
    (folder / "src" / "casebook").rename(folder / "src" / "plant")
    columns = re.compile(rf"\b({'|'.join(data.SCHEMA.columns)})\b")
    for path in [*folder.rglob("*.ipynb"), *folder.glob("src/plant/**/*.py"), *folder.glob("conf/**/*.yml")]:
        text = path.read_text().replace("casebook", "plant")
        # The notebooks that all cases share name no column.
        path.write_text(text if path.parent.name == "model" else columns.sub(r"\1_q", text))
    # Where datasets lie is the catalog's business alone.
    moved = {"metrics": "json", "wheel": "whl", "proof": "json", "source": "json", "proof_page": "html"}
    (folder / "conf" / "base" / "catalog.yml").write_text(
        "".join(
            f'"{{case}}.{name}": {{filepath: "${{setting:data.root}}/moved/{{case}}/{name}.{suffix}"}}\n'
            for name, suffix in moved.items()
        )
    )
    for name in ("pyproject.toml", "settings.ini"):
        (folder / name).write_text((folder / name).read_text().replace("casebook", "plant"))

    done = checkout.call(
        place,
        *("hardcover", "run", "--env", "ci", "--export", "--json", *FEW),
        env={"HARDCOVER_RUN_PROVE": "yes"},
    )

    (said,) = json.loads(done.stdout)
    clean = said["data_report"]["clean"]
    assert said["proof"]["passed"]
    assert said["release_report"]["wheel"].startswith("plant_maintenance-")
    assert said["data_report"]["split_by"] == "machine_q"
    assert clean > 3000
    plan = json.loads(next(place.data.glob("04_feature/maintenance/feature_plan.json/*/*.json")).read_text())
    assert "torque_q" in plan["inputs"]
    assert {path.name.partition(".")[0] for path in (place.data / "moved" / "maintenance").iterdir()} == {
        *moved
    }
    assert f"{said['metrics']['holdout']['average_precision']:.3f}" in Path(said["page"]).read_text()
    assert "proof_page.html" in Path(said["page"]).read_text()
    # The run that `make run` is.
    assert "$(BIN)/hardcover run $(CASE) $(ARGS)" in (ROOT / "Makefile").read_text()
