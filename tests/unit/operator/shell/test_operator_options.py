"""Every option of the operator's command line arrives where it has its effect."""

from pathlib import Path

import pytest

from omnipipe_operator.arguments import parse
from omnipipe_operator.process_settings import Listen, WebhookSettings

IMAGES = ["--gateway-image", "g:1", "--stage-image", "s:1"]


def test_of_the_cluster() -> None:
    process, operator = parse(
        [*IMAGES, "--kubeconfig", "/k", "--context", "lab", "--namespace", "b", "--namespace", "a", "--namespace", "b",
         "--lease-namespace", "leases"],
        {"POD_NAMESPACE": "own"},
    )  # fmt: skip

    assert (process.kubeconfig, process.context, process.namespaces) == (Path("/k"), "lab", ("b", "a"))
    assert (process.lease_namespace, operator.operator_namespace) == ("leases", "own")


def test_of_the_pods_it_makes() -> None:
    _, operator = parse(
        [*IMAGES, "--image-pull-policy", "Always", "--image-pull-secret", "a", "--image-pull-secret", "b",
         "--image-pull-secret", "a", "--allow-host-path", "--cluster-domain", "c.local", "--termination-grace-s", "30"],
        {"POD_NAMESPACE": ""},
    )  # fmt: skip

    assert (operator.image_pull_policy, operator.image_pull_secrets) == ("Always", ("a", "b"))
    assert (operator.allow_host_path, operator.cluster_domain, operator.termination_grace_s) == (True, "c.local", 30)


def test_of_the_process() -> None:
    process, _ = parse(
        [*IMAGES, "--webhook-cert-dir", "/tls", "--webhook-listen", ":9", "--workers", "3", "--resync-s", "60",
         "--calls-per-s", "5", "--log-format", "text", "--log-level", "debug"],
        {"POD_NAMESPACE": ""},
    )  # fmt: skip

    assert process.webhook == WebhookSettings(
        listen=Listen("0.0.0.0", 9), certificate=Path("/tls/tls.crt"), key=Path("/tls/tls.key")
    )
    assert (process.workers, process.resync_s, process.calls_per_s) == (3, 60, 5)
    assert (process.log_format, process.log_level) == ("text", "debug")


def test_what_is_not_said() -> None:
    process, operator = parse(IMAGES, {"POD_NAMESPACE": ""})

    assert (process.kubeconfig, process.context, process.namespaces, process.webhook) == (None, None, (), None)
    assert (process.listen, process.workers, process.resync_s, process.calls_per_s) == (
        Listen("0.0.0.0", 8080), 8, 600, 0,
    )  # fmt: skip
    assert (process.log_format, process.log_level) == ("json", "info")
    assert process.lease_namespace == "default"
    assert (operator.allow_host_path, operator.cluster_domain, operator.image_pull_policy) == (False, "", None)
    assert operator.termination_grace_s == 610


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
def test_levels_of_the_log(level: str) -> None:
    assert parse([*IMAGES, "--log-level", level], {"POD_NAMESPACE": ""})[0].log_level == level


def test_two_processes_have_two_names() -> None:
    first, second = (parse(IMAGES, {"POD_NAMESPACE": "", "POD_NAME": "pod"})[0].identity for _ in range(2))

    assert first != second
    assert first.startswith("pod_")


def test_an_address_is_shown_as_it_is_typed() -> None:
    assert (str(Listen("0.0.0.0", 80)), str(Listen("::1", 80))) == ("0.0.0.0:80", "[::1]:80")
