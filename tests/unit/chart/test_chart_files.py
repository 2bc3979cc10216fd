"""What can be said of the chart without helm: its parts fit each other, the operator and the documents."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from scripts.dashboards import render_dashboards

from omnipipe import __version__
from omnipipe.observe import buckets
from omnipipe_operator.cluster.kinds import CHILD_KINDS, KINDS, OPTIONAL_KINDS, STAGE
from omnipipe_operator.metrics import Metrics

ROOT = Path(__file__).parents[3]
CHART = ROOT / "charts" / "omnipipe"
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
RULES: list[dict[str, Any]] = yaml.safe_load(
    re.sub(r"\{\{-.*?-?\}\}", "", (CHART / "templates/rbac/_rules.tpl").read_text(), flags=re.DOTALL)
)


def schemas(value: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(value, dict):
        if "type" in value:
            yield path, value
        for name, part in value.items():
            yield from schemas(part, f"{path}/{name}")
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from schemas(part, f"{path}/{index}")


def test_the_schema_leaves_nothing_open_but_what_it_says_is_others() -> None:
    objects = [(path, one) for path, one in schemas(SCHEMA) if "object" in one["type"]]
    assert len(objects) > 20
    assert [path for path, one in objects if "additionalProperties" not in one and "$comment" not in one] == []
    assert [path for path, one in objects if one.get("additionalProperties") is True] == []


def values_and_schema(values: Any, schema: dict[str, Any], path: str) -> Iterator[str]:
    """Names that the one has and the other has not."""
    schema = SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    properties = schema.get("properties")
    if properties is None or not isinstance(values, dict):
        return
    optional = {"global"} if path == "" else {"claims"} if path == ".resources" else set()
    yield from (f"{path}.{name}" for name in (values.keys() ^ properties.keys()) - optional)
    for name in values.keys() & properties.keys():
        yield from values_and_schema(values[name], properties[name], f"{path}.{name}")


def test_values_and_schema_name_the_same_things() -> None:
    assert list(values_and_schema(VALUES, SCHEMA, "")) == []


def test_every_value_has_an_effect() -> None:
    text = "".join(path.read_text() for path in (CHART / "templates").rglob("*.*"))
    unused = [
        f"{name}.{inner}" if inner else name
        for name, value in VALUES.items()
        for inner in (value if isinstance(value, dict) and value else [""])
        if not re.search(rf"\.Values\.{name}(\.{inner}|\b(?!\.))", text) and f"${name}.{inner}" not in text
    ]
    assert unused == []


def files(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_the_charts_kinds_are_the_repositorys() -> None:
    """Copies: a chart must be whole by itself, and what `helm package` makes of a link depends on where it leads."""
    assert files(CHART / "files/crds") == files(ROOT / "crds"), "run `make generate`"


def test_the_dashboards_are_up_to_date() -> None:
    assert files(CHART / "files/dashboards") == render_dashboards(), "run `make generate`"


def test_the_images_tag_is_the_packages_version() -> None:
    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"] == __version__


def test_the_rules_are_about_the_kinds_that_the_operator_knows() -> None:
    ruled = {f"{resource}.{group}" if group else resource for group, resource, _ in triples()}
    ours = {kind.resource for kind in KINDS.values()} - {"leases.coordination.k8s.io"}  # a Role of its own
    extra = {"omnipipelines/status", "omnistages/status", "omnipipelines/finalizers"}
    assert ruled == ours | {f"{name}.omnipipe.dev" for name in extra} | {"pods/log"}


def test_a_child_of_any_kind_can_be_made_kept_and_removed() -> None:
    for kind in (*CHILD_KINDS, *OPTIONAL_KINDS, STAGE):
        group = kind.api_version.rpartition("/")[0]
        verbs = {verb for g, r, verb in triples() if (g, r) == (group, kind.plural)}
        assert {"list", "watch", "create", "patch", "delete"} <= verbs, kind.key


def test_no_rule_has_a_star_or_more_than_it_needs() -> None:
    assert not {word for triple in triples() for word in triple} & {"*", "deletecollection", "escalate", "bind"}


def triples() -> list[tuple[str, str, str]]:
    """Group, resource, verb."""
    return [
        (group, resource, verb)
        for rule in RULES
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    ]


def test_a_first_tokens_objective_is_a_bound_of_the_histogram() -> None:
    slo = SCHEMA["properties"]["prometheusRule"]["properties"]["slo"]["properties"]
    assert slo["ttftSeconds"]["enum"] == list(buckets.FIRST)


ALERTS = re.findall(
    r"^- alert: (.*)$", "".join(path.read_text() for path in (CHART / "templates/monitoring").glob("_*.tpl")), re.M
)


def alert_names() -> set[str]:
    """Burn rates come as fast and slow."""
    return {name.replace("{{ .name }}", speed) for name in ALERTS for speed in ("Fast", "Slow")}


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    written = re.findall(r"^### (\w+)$", (ROOT / "docs/runbooks.md").read_text(), re.M)
    assert len(alert_names()) > 12
    assert sorted(written) == sorted(alert_names())


def test_the_operators_metrics_are_listed_and_nothing_else() -> None:
    metrics = Metrics()
    metrics.watch(lambda: 0, lambda: 0, lambda: {("Ready", "True"): 1})
    families = {one.name + ("_total" if one.type == "counter" else "") for one in metrics.registry.collect()}
    rows = re.findall(r"^\| (`omnipipe_operator_.*?) \|", (ROOT / "docs/kubernetes.md").read_text(), re.M)
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == families
