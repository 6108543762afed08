"""The loop's metrics are what Prometheus's own checker takes, and its rules ask for nothing else."""

import re
from datetime import UTC, datetime

from hardcover.monitoring import metrics, watch
from hardcover.serving.deployment import OPERATIONS
from tests.monitoring.test_page import state_of
from tests.serving.test_deployment import needs_promtool, promtool

NOW = datetime(2024, 7, 1, tzinfo=UTC)
RULES = OPERATIONS / "loop-rules.yaml"


@needs_promtool
def test_promtool_accepts_the_metrics_and_the_rules():
    state = {
        **state_of(30),
        "last": {"served": "2024-06-30T10:00:00"},
        "now": "2024-07-01T00:00:00",
        "case": 'chu"rn',
    }
    for each in (state, watch.begin("churn")):
        promtool("check", "metrics", given=metrics.text(each, NOW))
    promtool("check", "rules", "--lint=all", "--lint-fatal", RULES)


def test_the_rules_ask_for_metrics_that_are_there():
    state = {**state_of(30), "last": {"served": "2024-06-30T10:00:00"}}
    told = metrics.text(state, NOW)
    used = set(re.findall(r"hardcover_\w+", RULES.read_text()))
    assert used <= set(re.findall(r"^# TYPE (\w+)", told, re.MULTILINE))
    assert 'hardcover_open_alerts{case="churn",tier="page",test="harm"} 1.0' in told
    assert 'hardcover_open_alerts{case="churn",tier="warning",test="inputs"} 0.0' in told
    assert 'hardcover_answers_total{case="churn",version="0.1.0+m0"} 100000' in told
    assert 'hardcover_outlook_loss{case="churn"} 2.5' in told
    assert f'hardcover_pass_timestamp_seconds{{case="churn"}} {NOW.timestamp()}' in told
