"""A cluster that somebody else made: all that is known of it is a kubeconfig, in a folder and of an account of which
its maker knows nothing. The account is admin of one namespace; addresses are reached by port-forward alone."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.cluster import Cluster
from tests.e2e.namespace import Namespace, Object
from tests.e2e.pipelines import Pipelines, ask, manifest

ROOT = Path(__file__).parents[2]
ACCOUNT = "visitor"


@pytest.fixture
def visitor(namespace: Namespace, tmp_path: Path) -> Iterator[Cluster]:
    """The cluster by that account's kubeconfig."""
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": ACCOUNT},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "admin"},
        "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": namespace.name}],
    }
    namespace.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": ACCOUNT}}, binding)
    token = namespace.kubectl("create", "token", ACCOUNT).strip()
    config: Object = json.loads(namespace.kubectl("config", "view", "--raw", "--flatten", "--minify", "-o", "json"))
    config["users"] = [{"name": ACCOUNT, "user": {"token": token}}]
    config["contexts"][0]["context"]["user"] = ACCOUNT
    file = tmp_path / "elsewhere" / "config.yaml"
    file.parent.mkdir()
    file.write_text(json.dumps(config))
    file.chmod(0o600)
    yield Cluster(file, None)


def make_cluster(kubeconfig: Path | str) -> subprocess.CompletedProcess[str]:
    """`make cluster`."""
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig)}
    words = [sys.executable, "-m", "scripts.cluster", "up"]
    return subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_make_cluster_uses_the_one_that_is_given(visitor: Cluster) -> None:
    done = make_cluster(visitor.kubeconfig)

    assert done.returncode == 0, done.stderr
    assert done.stdout == f"cluster: KUBECONFIG is set and its server answers; using {visitor.kubeconfig}\n"
    assert done.stderr == ""


def test_one_that_does_not_answer_is_an_error_and_nothing_is_started(visitor: Cluster) -> None:
    config = json.loads(visitor.kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    visitor.kubeconfig.write_text(json.dumps(config))

    done = make_cluster(visitor.kubeconfig)

    assert done.returncode == 1
    assert "127.0.0.1:1" in done.stderr


def test_several_files_are_refused_in_words(visitor: Cluster) -> None:
    done = make_cluster(f"{visitor.kubeconfig}:{visitor.kubeconfig}")

    assert done.returncode == 1
    assert "KUBECONFIG names several files" in done.stderr


def test_a_pipeline_of_somebody_who_may_use_one_namespace(visitor: Cluster, pipelines: Pipelines) -> None:
    own = Pipelines(Namespace(visitor, pipelines.namespace.name))
    name = own.apply(manifest("visited"))
    own.wait(name)
    with own.namespace.reach(name) as url:
        assert url.startswith("http://127.0.0.1:"), "by port-forward"
        assert "".join(ask(url, name, "hello out there")) == "hello out there"
    own.namespace.kubectl("scale", f"omnistage/{name}-compose", "--replicas=2")
    own.settled(name)
    assert len(own.pods(name, "compose")) == 2
    own.namespace.kubectl("delete", f"omni/{name}")
