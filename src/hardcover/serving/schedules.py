"""What repeats a pass of the loop: a timer of systemd, GitHub Actions' schedule, a DAG of Airflow.

A pass ends with 3 while a page is open, which is no failure. https://www.freedesktop.org/software/systemd/man/latest/systemd.timer.html, https://docs.github.com/actions,
https://airflow.apache.org/docs/apache-airflow-providers-standard/stable/operators/bash.html.
"""


def files(case: str, name: str) -> dict[str, str]:
    """Return the text of each file by its name.

    Parameters
    ----------
    case, name
        The case, and what it is called where names follow RFC 1123.
    """
    a_pass = f".venv/bin/hardcover cycle {case} --log /var/log/hardcover"
    return {
        "hardcover-cycle.service": _service(case, name, a_pass),
        "hardcover-cycle.timer": _TIMER,
        "cycle-workflow.yml": _workflow(name, a_pass),
        "cycle_dag.py": _dag(case, name, a_pass),
    }


_TIMER = """# systemctl enable --now hardcover-cycle.timer
[Unit]
Description=A pass of Hardcover's loop every quarter of an hour

[Timer]
OnCalendar=*:0/15
Persistent=true

[Install]
WantedBy=timers.target
"""


def _service(case: str, name: str, a_pass: str) -> str:
    return f"""# A pass of the loop for a project in /srv/project, whose services log to /var/log/hardcover; 3 is how it ends while a page is open.
[Unit]
Description=A pass of Hardcover's loop for {case}

[Service]
Type=oneshot
WorkingDirectory=/srv/project
ExecStart=/srv/project/{a_pass} --metrics /var/lib/prometheus/node-exporter/{name}.prom
SuccessExitStatus=3
"""


def _workflow(name: str, a_pass: str) -> str:
    return f"""# Put it into .github/workflows/ of the project; its runner needs the project's data folder and the services' log.
name: cycle
on:
  schedule:
    - cron: "*/15 * * * *"
  workflow_dispatch:
concurrency: cycle-{name}
permissions:
  contents: read
jobs:
  cycle:
    runs-on: self-hosted
    timeout-minutes: 60
    steps:
      - uses: actions/checkout@v4
        with:
          clean: false
      - run: make .venv/.ready
      - run: {a_pass}
"""


def _dag(case: str, name: str, a_pass: str) -> str:
    return f'''"""A pass of Hardcover's loop for {case} every quarter of an hour; put it into Airflow's folder of DAGs, on a worker that has the project in /srv/project and the services' log."""

from datetime import timedelta

import pendulum
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

with DAG(
    dag_id="hardcover-cycle-{name}",
    schedule="*/15 * * * *",
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    # A pass takes in all that came since the one before, so none is made up for.
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=1),
):
    # 3 is how it ends while a page is open.
    BashOperator(
        task_id="cycle",
        cwd="/srv/project",
        bash_command="{a_pass}",
        skip_on_exit_code=3,
    )
'''
