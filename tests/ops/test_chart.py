"""The Helm chart. What renders it needs helm, and what validates it the extra `chart`: `make chart`."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

import hsmgate
from hsmgate.config import Config
from tests.ops.test_packages import ROOT

CHART = ROOT / "ops" / "helm" / "hsmgate"
CASES = sorted(path.stem for path in (CHART / "ci").glob("*.yaml"))
KUBERNETES = ("1.27", "1.37")  # the oldest that the chart takes, and the newest there are schemas for

Manifest = dict[str, Any]


def case(name: str) -> Manifest:
    values: Manifest = yaml.safe_load((CHART / "ci" / f"{name}.yaml").read_text())
    return values


def rendered(name: str, kubernetes: str = KUBERNETES[0], *more: str) -> list[Manifest]:
    values = str(CHART / "ci" / f"{name}.yaml")
    command = [
        "helm",
        "template",
        "signing",
        str(CHART),
        "--kube-version",
        f"{kubernetes}.0",
        "--values",
        values,
        *more,
    ]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [manifest for manifest in yaml.safe_load_all(done.stdout) if manifest]


def of_kind(manifests: list[Manifest], kind: str) -> Manifest:
    (manifest,) = (manifest for manifest in manifests if manifest["kind"] == kind)
    return manifest


def test_the_chart_has_the_version_of_what_it_runs() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (hsmgate.__version__, hsmgate.__version__)


def test_templates_and_schema_know_the_values_that_there_are() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    text = "".join(path.read_text() for path in (CHART / "templates").rglob("*.*"))
    used = {tuple(path.split(".")) for path in re.findall(r"\.Values\.([A-Za-z.]+)", text)}
    assert {path[0] for path in used} == set(values)
    for path in used:
        assert len(path) == 1 or path[1] in values[path[0]], path
    schema = json.loads((CHART / "values.schema.json").read_text())["properties"]
    assert set(schema) - {"global"} == set(values)
    for word, value in values.items():
        assert set(schema[word].get("properties", value)) == set(value) if isinstance(value, dict) else True, word


@pytest.mark.parametrize("name", CASES)
def test_the_cases_configs_fit_their_mounts(name: str, tmp_path: Path) -> None:
    values = case(name)
    (tmp_path / "hsmgate.toml").write_text(values["config"])
    config = Config.load(tmp_path / "hsmgate.toml")
    pins = [f"file:/run/secrets/hsmgate/pins/{pin['token']}" for pin in values["pins"]]
    assert [token.pin_source for token in config.token] == pins
    assert config.server.drain_timeout == values.get("drainSeconds", 30)
    assert bool(config.server.tls_key) == bool(values.get("tls"))


@pytest.mark.chart
@pytest.mark.parametrize("name", CASES)
def test_helm_finds_nothing_to_say(name: str) -> None:
    command = ["helm", "lint", "--strict", "--values", str(CHART / "ci" / f"{name}.yaml"), str(CHART)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.chart
@pytest.mark.parametrize("kubernetes", KUBERNETES)
@pytest.mark.parametrize("name", CASES)
def test_kubernetes_takes_it(name: str, kubernetes: str) -> None:
    import kubernetes_validate

    for manifest in rendered(name, kubernetes):
        if manifest["kind"] != "ServiceMonitor":  # the operator's, not Kubernetes's
            kubernetes_validate.validate(manifest, kubernetes, strict=True)


@pytest.mark.chart
@pytest.mark.parametrize("name", CASES)
def test_pods_may_do_as_little_as_they_can(name: str) -> None:
    manifests = rendered(name)
    for pod in (of_kind(manifests, "Deployment")["spec"]["template"]["spec"], of_kind(manifests, "Pod")["spec"]):
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        (container,) = pod["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


@pytest.mark.chart
@pytest.mark.parametrize("name", CASES)
def test_secrets_come_as_files_only(name: str) -> None:
    manifests = rendered(name)
    assert not [manifest for manifest in manifests if manifest["kind"] == "Secret"]
    (container,) = of_kind(manifests, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert "env" not in container
    assert "envFrom" not in container
    mounted = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    secret = [path for path in mounted if path.startswith("/run/secrets")]
    assert secret
    assert all(mounted[path]["readOnly"] for path in secret)


@pytest.mark.chart
@pytest.mark.parametrize("name", CASES)
def test_a_pod_has_the_time_that_draining_takes(name: str) -> None:
    pod = of_kind(rendered(name), "Deployment")["spec"]["template"]["spec"]
    drain = case(name).get("drainSeconds", 30)
    asleep = int(pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod["terminationGracePeriodSeconds"] > asleep + drain


@pytest.mark.chart
@pytest.mark.parametrize(("name", "seconds"), [("small", 180), ("full", 302)])
def test_a_pod_has_the_time_that_starting_takes(name: str, seconds: int) -> None:
    (container,) = of_kind(rendered(name), "Deployment")["spec"]["template"]["spec"]["containers"]
    probe = container["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] == seconds


@pytest.mark.chart
def test_the_job_is_called_as_the_alerts_have_it() -> None:
    manifests = rendered("full")
    label = of_kind(manifests, "ServiceMonitor")["spec"]["jobLabel"]
    job = of_kind(manifests, "Service")["metadata"]["labels"][label]
    assert f'job="{job}"' in (ROOT / "ops" / "alerts.yml").read_text()


@pytest.mark.chart
def test_what_selects_pods_selects_the_gateways_only() -> None:
    manifests = rendered("full")
    labels = of_kind(manifests, "Deployment")["spec"]["template"]["metadata"]["labels"]
    tested = of_kind(manifests, "Pod")["metadata"]["labels"]
    for kind in ("Service", "Deployment", "PodDisruptionBudget"):
        selector = of_kind(manifests, kind)["spec"]["selector"]
        wanted = selector.get("matchLabels", selector)
        assert wanted.items() <= labels.items()
        assert not wanted.items() <= tested.items()


@pytest.mark.chart
def test_with_autoscaling_nobody_else_says_how_many() -> None:
    manifests = rendered("full")
    assert "replicas" not in of_kind(manifests, "Deployment")["spec"]
    metric = of_kind(manifests, "HorizontalPodAutoscaler")["spec"]["metrics"][0]["pods"]["metric"]["name"]
    assert metric == "hsmgate_items_waiting"
    assert of_kind(rendered("small"), "Deployment")["spec"]["replicas"] == 2


@pytest.mark.chart
@pytest.mark.parametrize("more", ["replica=3", "tls.secrets=x", "secrets[0].name=pins,secrets[0].secret=x"])
def test_values_that_are_none_are_refused(more: str) -> None:
    with pytest.raises(AssertionError, match="values don't meet the specifications"):
        rendered("small", KUBERNETES[0], "--set", more)
