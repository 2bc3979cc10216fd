import pytest

from omnipipe.families.registry import family_names, find_family
from omnipipe.spec.errors import ManifestError
from omnipipe.spec.reader import ValidatedPipeline, check_together, read_object, read_pipelines

ECHO = """\
apiVersion: omnipipe.dev/v1alpha1
kind: OmniPipeline
metadata: {name: %s}
spec:
  model: {family: echo}
"""


def read(text: str | bytes, file: str = "x.yaml") -> list[ValidatedPipeline]:
    return read_pipelines(text, file, find_family, family_names())


def findings(text: str) -> list[str]:
    with pytest.raises(ManifestError) as caught:
        read(text)
    return [str(finding) for finding in caught.value.findings]


def test_the_smallest_manifest() -> None:
    [one] = read(ECHO % "assistant")

    assert one.pipeline.name == "assistant"
    assert one.pipeline.metadata.namespace == "default"
    assert one.served_names == ("assistant",)
    assert one.family.name == "echo"
    assert (one.file, one.line) == ("x.yaml", 1)


def test_several_pipelines_in_one_file_and_as_bytes() -> None:
    text = "\n---\n".join(ECHO % name for name in ("first", "second", "third"))

    assert [one.pipeline.name for one in read(text.encode())] == ["first", "second", "third"]


def test_json_is_yaml() -> None:
    text = (
        '{"apiVersion": "omnipipe.dev/v1alpha1", "kind": "OmniPipeline",\n'
        ' "metadata": {"name": "a"}, "spec": {"model": {"family": "echo"}}}'
    )
    [one] = read(text)

    assert one.pipeline.name == "a"


def test_one_name_in_two_namespaces_is_two_pipelines() -> None:
    other = (ECHO % "same").replace("name: same", "name: same, namespace: other")

    assert len(read(f"{ECHO % 'same'}---\n{other}")) == 2


def test_findings_of_all_documents_come_together_in_the_order_of_the_file() -> None:
    broken = ECHO % "first" + "  stages: [{name: synth, replicas: 0}]\n---\n" + (ECHO % "B") + "---\n" + ECHO % "third"

    assert findings(broken) == [
        "x.yaml:6: spec.stages[0].replicas: must be at least 1, got 0",
        "x.yaml:10: metadata.name: must be lowercase letters, digits and '-', beginning with a letter and not "
        "ending with '-', for its Services are named after it, got \"B\"",
    ]


def test_a_wrong_limit_does_not_hide_a_wrong_graph() -> None:
    text = ECHO % "a" + "  gateway: {maxQueued: -1}\n  stages: [{name: sinth}]\n"

    assert len(findings(text)) == 2


def test_a_mistyped_type_is_not_also_reported_as_an_unknown_one() -> None:
    text = ECHO % "a" + "  stages: [{name: one, tpye: ingest}]\n  edges: []\n  outputs: [{name: text, stage: one}]\n"

    assert findings(text) == ['x.yaml:6: spec.stages[0].tpye: unknown field "tpye"; did you mean "type"?']


def test_what_an_api_server_writes_is_no_part_of_the_manifest() -> None:
    served = {
        "apiVersion": "omnipipe.dev/v1alpha1",
        "kind": "OmniPipeline",
        "metadata": {
            "name": "assistant",
            "namespace": "speech",
            "uid": "5c1f",
            "resourceVersion": "12",
            "generation": 3,
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "managedFields": [{"manager": "kubectl"}],
            "labels": {"team": "audio"},
        },
        "spec": {"model": {"family": "echo"}},
        "status": {"observedGeneration": 3},
    }
    one = read_object(served, find_family, family_names())

    assert one.pipeline.metadata.namespace == "speech"
    assert one.pipeline.metadata.labels == {"team": "audio"}
    assert (one.file, one.line) == ("", None)


def test_an_object_of_no_file_has_findings_without_lines() -> None:
    with pytest.raises(ManifestError) as caught:
        read_object({"apiVersion": "omnipipe.dev/v1alpha1", "kind": "OmniPipeline"}, find_family, family_names())

    assert str(caught.value) == "metadata: is required\nspec: is required"


def test_pipelines_behind_one_port_have_names_of_their_own() -> None:
    named = "  gateway: {servedModelNames: [%s]}\n"
    one = read(ECHO % "one" + named % "gpt, shared", "one.yaml")
    two = read(ECHO % "two" + named % "shared", "two.yaml")
    again = read(ECHO % "one", "again.yaml")
    check_together([*one, *read(ECHO % "three")])

    with pytest.raises(ManifestError) as caught:
        check_together([*one, *two, *again])

    assert [str(finding) for finding in caught.value.findings] == [
        'two.yaml:1: spec.gateway.servedModelNames: "shared" is also served by pipeline "one" (one.yaml:1)',
        'again.yaml:1: metadata.name: "one" is also the pipeline in one.yaml:1',
    ]
