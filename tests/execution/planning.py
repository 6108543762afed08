"""Answer, for each line of standard input, whether a run would do nothing: from its record, and by planning in full.

    python tests/execution/planning.py < lines    a line is JSON: variables to set

Kedro and what it needs are imported once; each question is answered by a fork, which imports the project anew.
"""

import json
import os
import sys
from pathlib import Path

from hardcover import settings
from hardcover.execution import unchanged
from hardcover.execution.request import Request

# As the command `hardcover` finds them.
sys.path[0] = str(Path(sys.executable).parent)
AS_GIVEN = dict(os.environ)
# Kedro logs when it is imported.
os.environ.update(settings.kedro_environment())
for name in ("kedro.framework.session", "lightgbm", "pandera.pandas"):
    __import__(name)
REQUEST = Request(face="pipeline", env="ci")


def by_record() -> bool:
    return unchanged.results_of(REQUEST) is not None


def by_planning() -> bool:
    from kedro.pipeline import Pipeline

    from hardcover.incremental import runner
    from hardcover.project import exported
    from hardcover.project.context import open_context

    settings.make_importable()
    (plan,) = REQUEST.plans()
    exported.check([plan.case])
    whole = sum(plan.pipelines().values(), Pipeline([]))
    return runner.up_to_date(whole, open_context(plan.env, plan.overrides).catalog)


def answer(variables: dict[str, str]) -> dict:
    os.environ.clear()
    os.environ.update({**AS_GIVEN, **variables})
    found = {}
    try:
        settings.enter("ci")
        found["record"] = by_record()
        found["planning"] = by_planning()
    except Exception as error:
        found = {"record": found.get("record", False), "planning": False, "error": repr(error)}
    return found


def main() -> None:
    for line in sys.stdin:
        reader, writer = os.pipe()
        if not os.fork():
            os.write(writer, json.dumps(answer(json.loads(line))).encode())
            os._exit(0)
        os.close(writer)
        os.wait()
        print(os.read(reader, 1 << 16).decode(), flush=True)
        os.close(reader)


if __name__ == "__main__":
    main()
