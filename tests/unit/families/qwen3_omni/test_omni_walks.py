"""Which stages a request goes through."""

import pytest

from omnipipe.coordinator.walk import choose_walk
from omnipipe.families.registry import family_names, find_family
from omnipipe.spec.plan import Plan
from omnipipe.spec.reader import read_pipelines

MANIFEST = """
apiVersion: omnipipe.dev/v1alpha1
kind: OmniPipeline
metadata: {name: omni}
spec:
  model: {family: qwen3_omni, source: "hf://Qwen/Qwen3-Omni-30B-A3B-Instruct"}
"""


@pytest.fixture(scope="module")
def plan() -> Plan:
    (pipeline,) = read_pipelines(MANIFEST, "omni.yaml", find_family, family_names())
    return pipeline.compile(lambda stage, replica: f"ipc:///tmp/{stage}-{replica}.sock")


@pytest.mark.parametrize(
    ("outputs", "inputs", "stages"),
    [
        ({"text"}, {"text"}, ["preprocess", "thinker"]),
        ({"text"}, {"text", "image"}, ["preprocess", "vision-encoder", "thinker"]),
        ({"text"}, {"text", "video"}, ["preprocess", "vision-encoder", "thinker"]),
        ({"text"}, {"text", "audio"}, ["preprocess", "audio-encoder", "thinker"]),
        ({"text", "audio"}, {"text"}, ["preprocess", "thinker", "talker", "code2wav"]),
        (
            {"text", "audio"},
            {"text", "image", "audio"},
            ["preprocess", "audio-encoder", "vision-encoder", "thinker", "talker", "code2wav"],
        ),
    ],
)
def test_a_request_meets_only_the_stages_that_it_needs(
    outputs: set[str], inputs: set[str], stages: list[str], plan: Plan
) -> None:
    walk = choose_walk(plan, frozenset(outputs), frozenset(inputs))
    assert [stage.name for stage in walk.stages] == stages
