"""The way to the API server: proxies, and answers that are none."""

from pathlib import Path

import pytest

from omnipipe_operator.cluster.access import find_access
from omnipipe_operator.cluster.connection import decoded
from omnipipe_operator.cluster.errors import Unavailable
from omnipipe_operator.cluster.kinds import POD

KUBECONFIG = """\
clusters: [{name: a, cluster: {server: 'https://kube.example.org:6443'}}]
users: [{name: a, user: {}}]
contexts: [{name: a, context: {cluster: a, user: a}}]
current-context: a
"""
PROXY = "http://proxy.example.org:3128"


@pytest.mark.parametrize(("spared", "proxy"), [("", PROXY), ("example.org", None)])
async def test_a_proxy_is_what_the_environment_says(
    spared: str, proxy: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", PROXY)
    monkeypatch.setenv("no_proxy", spared)
    kubeconfig = tmp_path / "config"
    kubeconfig.write_text(KUBECONFIG, encoding="utf-8")

    access = await find_access(kubeconfig, None)

    assert access.configuration.proxy == proxy


def test_an_answer_that_is_no_json_is_no_answer() -> None:
    assert decoded(b'{"kind": "Pod"}', "get", POD) == {"kind": "Pod"}
    with pytest.raises(Unavailable, match="cannot get pods"):
        decoded(b"<html>", "get", POD)
