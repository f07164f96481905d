"""What is in ops/, as Prometheus and Grafana want it. tests/e2e/test_monitoring.py has the metrics that it names."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.promtool import ROOT, promtool


@pytest.mark.parametrize("command", [("check", "rules", "ops/alerts.yml"), ("test", "rules", "ops/alerts.test.yml")])
def test_the_alerts_are_as_prometheus_wants_them(command: tuple[str, ...]) -> None:
    code, said = promtool(*command)
    assert code == 0, said


def dashboard() -> dict[str, Any]:
    board: dict[str, Any] = json.loads((ROOT / "ops/grafana-dashboard.json").read_text())
    return board


def test_the_dashboard_is_one() -> None:
    board = dashboard()
    panels = [panel for panel in board["panels"] if panel["type"] != "row"]
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    for panel in panels:
        assert all(target["expr"] for target in panel["targets"]), panel["title"]


def test_prometheus_reads_what_the_dashboard_asks_for(tmp_path: Path) -> None:
    asked = [target["expr"] for panel in dashboard()["panels"] for target in panel.get("targets", ())]
    rules = [
        {"record": f"panel:{number}", "expr": words.replace("$__rate_interval", "1m")}
        for number, words in enumerate(asked)
    ]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    code, said = promtool("check", "rules", str(file))
    assert code == 0, said
    assert f"{len(asked)} rules found" in said
