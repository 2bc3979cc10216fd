"""Pipelines on a cluster with an operator, as their owner sees them."""

from pathlib import Path

import yaml
from openai import OpenAI, omit
from tests.e2e.namespace import Namespace, Object, eventually

__all__ = ["LABEL", "READY_S", "Pipelines", "ask", "manifest"]

READY_S = 240.0
"""Some seconds on an idle machine."""
LABEL = "omnipipe.dev/pipeline"


class Pipelines:
    def __init__(self, namespace: Namespace) -> None:
        self.namespace = namespace

    def apply(self, value: Object | Path) -> str:
        """Its name."""
        self.namespace.apply(value)
        wanted: Object = yaml.safe_load(value.read_text()) if isinstance(value, Path) else value
        return str(wanted["metadata"]["name"])

    def get(self, name: str) -> Object:
        return self.namespace.get(f"omnipipeline/{name}")

    def condition(self, name: str, kind: str) -> Object:
        """Of the newest generation; empty until it has been looked at."""
        pipeline = self.get(name)
        for condition in pipeline.get("status", {}).get("conditions", []):
            if condition["type"] == kind and condition.get("observedGeneration") == pipeline["metadata"]["generation"]:
                return dict(condition)
        return {}

    def wait(self, name: str, kind: str = "Ready", status: str = "True", deadline_s: float = READY_S) -> Object:
        """Until this condition says so of what was applied last."""

        def story() -> str:
            said = self.get(name).get("status")
            return f"{kind} of {name} is {status}; it says {said}\n{self.namespace.story()}"

        eventually(lambda: self.condition(name, kind).get("status") == status, story, deadline_s)
        return self.condition(name, kind)

    def settled(self, name: str, deadline_s: float = READY_S) -> None:
        """Ready, and nothing of it is in progress."""
        self.wait(name, "Ready", "True", deadline_s)
        self.wait(name, "Progressing", "False", deadline_s)

    def serving(self, name: str) -> str:
        """The revision that clients get."""
        selector = self.namespace.get(f"service/{name}")["spec"]["selector"]
        return str(selector["omnipipe.dev/revision"])

    def pods(self, name: str, stage: str = "") -> list[Object]:
        also = f",omnipipe.dev/stage={stage}" if stage else ""
        return self.namespace.items("pods", f"{LABEL}={name}{also}")

    def left(self, name: str) -> list[str]:
        """Everything there still is of a pipeline, whatever its kind."""
        kinds = self.namespace.kubectl("api-resources", "--namespaced", "--verbs=list", "-o", "name").split()
        listed = [kind for kind in kinds if not kind.startswith("events")]
        found = self.namespace.kubectl("get", ",".join(listed), f"--selector={LABEL}={name}", "-o", "name")
        return found.split()


def manifest(name: str, **spec: object) -> Object:
    """An echo pipeline that says a word every 20 ms: its streams last long enough to be cut."""
    base: Object = {
        "model": {"family": "echo"},
        "stages": [{"name": "compose", "params": {"delay_ms": 20}}],
        "pod": {"terminationGracePeriodSeconds": 30},
    }
    return {
        "apiVersion": "omnipipe.dev/v1alpha1",
        "kind": "OmniPipeline",
        "metadata": {"name": name},
        "spec": {**base, **spec},
    }


def ask(
    url: str, model: str, text: str, *, temperature: float | None = None, max_tokens: int | None = None
) -> list[str]:
    """The pieces of a streamed answer, by the official SDK."""
    with (
        OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=60) as client,
        client.chat.completions.create(
            model=model,
            messages=[{"role": "user", "content": text}],
            stream=True,
            temperature=omit if temperature is None else temperature,
            max_tokens=omit if max_tokens is None else max_tokens,
        ) as stream,
    ):
        return [piece for chunk in stream if (piece := chunk.choices[0].delta.content)]
