"""Every query of the dashboards and alerts, asked of a real Prometheus that scrapes a pipeline under load and the
operator of another: none is about a metric that there is not, none finds nothing, and nothing is alarmed while all is
well.
"""

import re
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from tests.cluster.chart.helm import CHART, Helm, objects
from tests.cluster.chart.prometheus import Prometheus, find_prometheus
from tests.cluster.chart.queries import PANELS, VARIABLES, filled, looked_at, rules_of
from tests.cluster.controlplane import ControlPlane
from tests.cluster.daemon import Daemon, DaemonError, eventually
from tests.cluster.namespace import Namespace, pipeline
from tests.cluster.operator.running import Operator
from tests.integration.local.served import Served

pytestmark = pytest.mark.timeout(400)  # the first test waits for all that is started, and for some scrapes of it

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "examples" / "echo.yaml"
ENOUGH = 8
"""Rounds of traffic before anything is asked: each kind of request has been seen in more than one scrape."""


@pytest.fixture(scope="module")
def programs() -> tuple[Path, Path]:
    found = find_prometheus()
    if isinstance(found, str):
        pytest.skip(found)
    return found


@pytest.fixture(scope="module")
def rules(helm_program: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    helm = Helm(helm_program, tmp_path_factory.mktemp("helm"))
    (rule,) = objects(
        helm.template("--show-only=templates/monitoring/prometheusrule.yaml", "--set=prometheusRule.enabled=true")
    )
    spec = rule["spec"]
    assert isinstance(spec, dict)
    return spec


@pytest.fixture(scope="module")
def pipeline_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with Served(tmp_path_factory.mktemp("served"), EXAMPLE, "--port", "0", "--no-access-log") as served:
        yield served.url
        served.stop()


@pytest.fixture(scope="module")
def operator(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """With a pipeline that it looks at every second, and one that it cannot make as its name is taken."""
    ours = Namespace(control_plane, f"live-{secrets.token_hex(3)}")
    ours.kubectl("create", "namespace", ours.name)
    ours.kubectl("create", "service", "clusterip", "second", "--tcp=80")
    for name in ("first", "second"):
        ours.apply({**pipeline(), "metadata": {"name": name}})
    with Operator(
        control_plane, tmp_path_factory.mktemp("operator"), ours.name, args=("--resync-s=1",), lease=ours.name
    ) as running:
        running.wait_ready()
        yield running
    ours.kubectl("delete", "namespace", ours.name, "--wait=false")


@pytest.fixture(scope="module")
def prometheus(
    programs: tuple[Path, Path],
    rules: dict[str, Any],
    pipeline_url: str,
    operator: Operator,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Prometheus]:
    """Has seen traffic for a while, and goes on seeing it."""
    folder = tmp_path_factory.mktemp("prometheus")
    targets = {"pipelines": urlsplit(pipeline_url).netloc, "operator": f"127.0.0.1:{operator.port}"}
    with ExitStack() as started:
        running = Prometheus(programs[0], folder, targets, rules)
        started.callback(running.stop)
        running.wait()
        command = ("-m", "tests.cluster.chart.traffic", pipeline_url, "assistant")
        traffic = Daemon(Path(sys.executable), command, folder / "traffic.log")
        started.callback(traffic.stop)
        traffic.wait_for(lambda: traffic.log.read_text().count("round") >= ENOUGH, "there has been traffic")
        yield running


@pytest.fixture(scope="module")
def answers(prometheus: Prometheus, rules: dict[str, Any]) -> Mapping[str, list[float]]:
    """Of every query. What nobody answers is waited for once, not once each."""
    asked = {*map(filled, PANELS.values()), *looked_at(rules).values()}
    found: dict[str, list[float]] = {}

    def all_answered() -> bool:
        found.update({query: prometheus.query(query) for query in asked if not found.get(query)})
        return all(found.values())

    try:
        eventually(all_answered, "every query finds something")
    except DaemonError:
        pass  # each query's own test says so
    return found


@pytest.mark.parametrize("expression", PANELS.values(), ids=PANELS)
def test_a_panel_shows_something(expression: str, answers: Mapping[str, list[float]]) -> None:
    assert answers[filled(expression)] != []


def test_every_alert_looks_at_something(answers: Mapping[str, list[float]], rules: dict[str, Any]) -> None:
    compared = looked_at(rules)
    assert [alert for alert, query in compared.items() if re.search("[<>]|==", query)] == []
    assert {alert: query for alert, query in compared.items() if answers[query] == []} == {}


@pytest.mark.parametrize("query", VARIABLES.values(), ids=VARIABLES)
def test_a_variable_has_values(query: str, prometheus: Prometheus) -> None:
    match = re.fullmatch(r"label_values\((.*), (\w+)\)", query)
    assert match is not None
    eventually(lambda: any(prometheus.label_values(filled(match[1]), match[2])), f"values for {query}")


@pytest.mark.usefixtures("answers")
def test_no_query_is_about_a_metric_that_there_is_not(prometheus: Prometheus, rules: dict[str, Any]) -> None:
    asked = [*PANELS.values(), *(rule["expr"] for rule in rules_of(rules))]
    names = {name for text in asked for name in re.findall(r"\bomnipipe_\w+", text)}
    assert names - prometheus.metrics() == set()


@pytest.mark.usefixtures("answers")
def test_what_is_well_alarms_nobody_and_what_is_not_does(prometheus: Prometheus) -> None:
    def alarmed() -> dict[str, str]:
        return {name: rule["state"] for name, rule in prometheus.alerts().items() if rule["state"] != "inactive"}

    eventually(lambda: all(rule["health"] == "ok" for rule in prometheus.alerts().values()), "all were evaluated")
    eventually(lambda: "OmnipipePipelinesDegraded" in alarmed(), "the pipeline whose name is taken is noticed")

    young = "OmnipipeWatchStale"  # until the first sign of life, which comes once a minute
    slow = ("OmnipipeFirstTokenBudgetBurn", "OmnipipeEdgeSaturated")  # rightly, on a machine that is
    assert {name: state for name, state in alarmed().items() if not name.startswith((young, *slow))} == {
        "OmnipipePipelinesDegraded": "pending"
    }


def test_promtool_finds_no_fault(programs: tuple[Path, Path], rules: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump(rules))

    checked = subprocess.run(
        [programs[1], "check", "rules", file], capture_output=True, text=True, timeout=100, check=False
    )

    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(rules_of(rules))} rules found" in checked.stdout


def test_the_pod_of_helm_test_gets_its_answer(pipeline_url: str) -> None:
    command = [sys.executable, "-I", str(CHART / "files/ask.py"), f"{pipeline_url}/chat/completions", "assistant", "20"]

    asked = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)

    assert (asked.returncode, asked.stdout) == (0, "assistant: Is anybody there?\n")


def test_the_pod_of_helm_test_says_what_it_waited_for(pipeline_url: str) -> None:
    command = [sys.executable, "-I", str(CHART / "files/ask.py"), f"{pipeline_url}/chat/completions", "another", "1"]

    asked = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)

    assert asked.returncode == 1
    assert "HTTP Error 404" in asked.stdout
    assert asked.stderr == "no answer within 1 s\n"
