"""`stages[].draft`: from the manifest to the plan, and what is refused."""

from typing import Any

import pytest

from omnipipe.families.registry import family_names, find_family
from omnipipe.spec.errors import ManifestError
from omnipipe.spec.plan import Plan
from omnipipe.spec.reader import read_object


def compiled(family: str, stage: dict[str, Any]) -> Plan:
    source = {} if family == "echo" else {"source": "hf://owner/large"}
    spec = {"model": {"family": family, **source}, "stages": [stage]}
    value = {"apiVersion": "omnipipe.dev/v1alpha1", "kind": "OmniPipeline", "metadata": {"name": "a"}, "spec": spec}
    return read_object(value, find_family, family_names()).compile(lambda stage, replica: f"ipc:///run/{stage}.sock")


def test_a_draft_is_in_the_plan_and_makes_another_revision() -> None:
    plain = compiled("llm", {"name": "llm"})
    small = compiled("llm", {"name": "llm", "draft": {"source": "hf://owner/small"}})
    longer = compiled("llm", {"name": "llm", "draft": {"source": "hf://owner/small", "tokens": 7}})

    draft = small.stage("llm").engine.draft
    assert draft is not None
    assert (draft.source, draft.tokens) == ("hf://owner/small", 4)
    assert plain.stage("llm").engine.draft is None
    assert len({plan.revision for plan in (plain, small, longer)}) == 3
    assert Plan.from_json(longer.to_json()) == longer


@pytest.mark.parametrize(
    ("family", "stage", "words"),
    [
        ("echo", {"name": "words", "draft": {"source": "hf://owner/small"}}, "stages[0].draft: has no effect"),
        ("llm", {"name": "llm", "draft": {"source": "s3://bucket/small"}}, "the llm family loads from"),
        ("llm", {"name": "llm", "draft": {"source": "hf://small"}}, "must be hf://owner/name"),
        ("llm", {"name": "llm", "draft": {}}, "stages[0].draft.source"),
        ("llm", {"name": "llm", "draft": {"source": "hf://owner/small", "tokens": 17}}, "stages[0].draft.tokens"),
        ("llm", {"name": "llm", "draft": {"source": "hf://owner/small", "token": 2}}, "stages[0].draft.token"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(family: str, stage: dict[str, Any], words: str) -> None:
    with pytest.raises(ManifestError) as refused:
        compiled(family, stage)
    assert words in str(refused.value)
