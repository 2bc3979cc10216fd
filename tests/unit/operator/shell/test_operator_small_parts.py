"""Arguments, refusals, the rate limit, gateway reports, paths."""

from pathlib import Path
from typing import Any

import pytest

from omnipipe_operator.arguments import parse
from omnipipe_operator.cluster.errors import (
    ClusterError,
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    NamespaceEnding,
    NoSuchKind,
    NotFound,
    Throttled,
    Unavailable,
)
from omnipipe_operator.cluster.kinds import CHILD_KINDS, KINDS, PIPELINE, POD
from omnipipe_operator.cluster.limit import RateLimit
from omnipipe_operator.cluster.refusals import error_of, watch_error
from omnipipe_operator.gateways import address_of, report_of
from omnipipe_operator.process_settings import Listen

IMAGES = ["--gateway-image", "g:1", "--stage-image", "s:1"]


def test_the_command_line_becomes_settings() -> None:
    words = ["--namespace", "a", "--namespace", "b", "--webhook-cert-dir", "/tls", "--listen", "[::1]:80", *IMAGES]
    process, operator = parse(words, {"POD_NAMESPACE": "omni", "POD_NAME": "pod-1"})

    assert process.namespaces == ("a", "b")
    assert process.lease_namespace == operator.operator_namespace == "omni"
    assert process.identity.startswith("pod-1_")
    assert process.listen == Listen("::1", 80)
    assert process.webhook is not None
    assert process.webhook.certificate == Path("/tls/tls.crt")
    assert (operator.gateway_image, operator.stage_image) == ("g:1", "s:1")
    assert parse([*IMAGES, "--no-leader-election"], {})[0].lease_namespace is None


@pytest.mark.parametrize(
    "words", [[], [*IMAGES, "--listen", "80"], [*IMAGES, "--workers", "0"], [*IMAGES, "--nam", "x"]]
)
def test_a_wrong_command_line_ends_with_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(words, {})

    assert ended.value.code == 2
    assert "omnipipe-operator: error:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("code", "kind"),
    [(403, Forbidden), (409, Conflict), (410, Gone), (422, Invalid), (429, Throttled), (503, Unavailable),
     (418, ClusterError)],
)  # fmt: skip
def test_refusals_are_told_apart(code: int, kind: type[ClusterError]) -> None:
    error = error_of(code, b'{"message": "no such luck"}', "7", "patch", CHILD_KINDS[0], "/apis/apps/v1/x")

    assert type(error) is kind
    assert error.code == code
    assert "no such luck" in str(error)
    assert "patch deployments.apps" in str(error)
    if isinstance(error, Unavailable):
        assert error.retry_after_s == 7.0


def test_a_missing_object_and_a_missing_kind_are_told_apart() -> None:
    path = "/apis/apps/v1/x"
    status = b'{"kind": "Status", "message": "not found", "details": {"name": "x"}}'

    assert isinstance(error_of(404, status, None, "get", POD, path), NotFound)
    assert isinstance(error_of(404, b"404 page not found", None, "get", POD, path), NoSuchKind)
    assert isinstance(error_of(404, b'{"kind": "Status", "details": {}}', None, "get", POD, path), NoSuchKind)


def test_a_field_of_a_wrong_type_is_no_failure_of_the_server() -> None:
    body = b'{"code": 500, "message": "failed to create typed patch object (a/b): .spec.x: expected numeric, got bool"}'

    assert isinstance(error_of(500, body, None, "patch", POD, "/x"), Invalid)
    assert isinstance(error_of(500, b'{"message": "etcd is away"}', None, "patch", POD, "/x"), Unavailable)


def test_a_namespace_that_is_ending_is_no_lack_of_rights() -> None:
    body = b'{"message": "x", "details": {"causes": [{"reason":"NamespaceTerminating"}]}}'

    assert isinstance(error_of(403, body, None, "patch", POD, "/x"), NamespaceEnding)


def test_an_error_in_a_watch_is_one_of_them() -> None:
    assert isinstance(watch_error(POD, {"kind": "Status", "code": 410, "message": "too old"}), Gone)


def test_paths() -> None:
    assert POD.path("ns", "p", "log") == "/api/v1/namespaces/ns/pods/p/log"
    assert PIPELINE.path(None) == "/apis/omnipipe.dev/v1alpha1/omnipipelines"
    assert CHILD_KINDS[0].resource == "deployments.apps"
    assert len(KINDS) == len({kind.path("n") for kind in KINDS.values()})


def test_a_burst_goes_at_once_and_the_rest_at_the_rate() -> None:
    now = [0.0]
    limit = RateLimit(10, 3, lambda: now[0])
    assert [round(limit.reserve(), 3) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert [round(limit.reserve(), 3) for _ in range(3)] == [0.1, 0.2, 0.3]
    now[0] = 10.0
    assert [round(limit.reserve(), 3) for _ in range(4)] == [0.0, 0.0, 0.0, 0.1]


def pod(**status: Any) -> dict[str, Any]:
    ports = [{"name": "http", "containerPort": 8080}]
    return {"metadata": {"name": "gw"}, "spec": {"containers": [{"name": "gateway", "ports": ports}]}, "status": status}


def test_a_gateway_is_asked_where_it_listens() -> None:
    assert address_of(pod(phase="Running", podIP="10.0.0.7")) == "10.0.0.7:8080"
    assert address_of(pod(phase="Running", podIP="fd00::7")) == "[fd00::7]:8080"
    assert address_of(pod(phase="Pending", podIP="10.0.0.7")) is None
    assert address_of(pod(phase="Running")) is None


def test_a_gateways_health_is_read() -> None:
    stage = {"name": "words", "replicas": 2, "routable": 1, "queued": 0, "running": 3}
    own = {"pipeline": "p", "revision": "abc", "ready": False, "draining": True, "in_flight": 4, "stages": [stage]}

    report = report_of("gw", {"status": "draining", "pipelines": [own]})

    assert (report.pod, report.revision, report.ready, report.draining, report.in_flight) == (
        "gw",
        "abc",
        False,
        True,
        4,
    )
    assert report.stages["words"].routable == 1
    wrongs: tuple[Any, ...] = ({}, {"pipelines": []}, {"pipelines": [{}]}, [])
    for wrong in wrongs:
        with pytest.raises((KeyError, TypeError, ValueError)):
            report_of("gw", wrong)
