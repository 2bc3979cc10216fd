"""The API server asks the operator through its Service, and hands its words to whoever applied the manifest."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.e2e.pipelines import Pipelines, manifest

UNKNOWN = """\
apiVersion: omnipipe.dev/v1alpha1
kind: OmniPipeline
metadata: {name: unknown}
spec:
  model: {family: ecco}
"""
CIRCLE = """\
apiVersion: omnipipe.dev/v1alpha1
kind: OmniPipeline
metadata: {name: circle}
spec:
  model: {family: echo}
  stages: [{name: in, type: ingest}, {name: a, type: words}, {name: b, type: words}]
  edges: [{from: in, to: a}, {from: a, to: b}, {from: b, to: a}]
  outputs: [{name: text, stage: b}]
"""
"""Both are sound to the schema and to the rules of the API server."""


@pytest.mark.parametrize("text", [UNKNOWN, CIRCLE], ids=["a family that there is not", "several findings"])
def test_what_omnipipe_validate_refuses_kubectl_apply_refuses_in_its_words(
    text: str, pipelines: Pipelines, tmp_path: Path
) -> None:
    file = tmp_path / "manifest.yaml"
    file.write_text(text)
    findings = validate(file)

    done = pipelines.namespace.cluster.kubectl(f"--namespace={pipelines.namespace.name}", "apply", "-f", file)

    assert done.returncode == 1
    assert 'admission webhook "omnipipelines.omnipipe.dev" denied the request: ' in done.stderr
    said = done.stderr.partition("denied the request: ")[2].splitlines()
    assert sorted(said) == sorted(findings), "in another order: an API server knows no lines"
    assert pipelines.namespace.items("omnipipelines") == []


def test_a_change_is_refused_and_what_stood_stands(pipelines: Pipelines) -> None:
    name = pipelines.apply(manifest("sound"))
    before = pipelines.get(name)["spec"]
    patch = '{"spec": {"model": {"family": "ecco"}}}'

    done = pipelines.namespace.cluster.kubectl(
        f"--namespace={pipelines.namespace.name}", "patch", f"omnipipeline/{name}", "--type=merge", f"--patch={patch}"
    )

    assert done.returncode == 1
    assert 'did you mean "echo"?' in done.stderr
    assert pipelines.get(name)["spec"] == before


def validate(file: Path) -> list[str]:
    """Its findings, without the file and the line, which an API server does not know."""
    command: list[str | Path] = [sys.executable, "-m", "omnipipe", "validate", file]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith(f"{file}:")]
    assert done.returncode == 1 and lines, done.stdout + done.stderr
    return [line.partition(": ")[2] for line in lines]
