"""What is in ops/, as Prometheus and Grafana want it. tests/e2e/test_monitoring.py has the metrics that it names."""

import json

import pytest

from tests.promtool import ROOT, promtool


@pytest.mark.parametrize("command", [("check", "rules", "ops/alerts.yml"), ("test", "rules", "ops/alerts.test.yml")])
def test_the_alerts_are_as_prometheus_wants_them(command: tuple[str, ...]) -> None:
    code, said = promtool(*command)
    assert code == 0, said


def test_the_dashboard_is_one() -> None:
    board = json.loads((ROOT / "ops/grafana-dashboard.json").read_text())
    panels = [panel for panel in board["panels"] if panel["type"] != "row"]
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    for panel in panels:
        assert all(target["expr"] for target in panel["targets"]), panel["title"]
