from dataclasses import replace

import pytest

from omnipipe.families.registry import find_family
from omnipipe.spec.manifest import ModelSpec
from omnipipe.spec.rules import check_model
from omnipipe.spec.sources import Source, parse_source


@pytest.mark.parametrize(
    ("url", "source"),
    [
        ("hf://Qwen/Qwen3-0.6B", Source("hf", "Qwen/Qwen3-0.6B")),
        ("hf://Qwen/Qwen3-0.6B@main", Source("hf", "Qwen/Qwen3-0.6B@main")),
        ("file:///models/qwen", Source("file", "/models/qwen")),
        ("pvc://weights/qwen", Source("pvc", "weights/qwen")),
        ("s3://bucket/a/b", Source("s3", "bucket/a/b")),
        ("oci://registry.example:5000/models/qwen:1", Source("oci", "registry.example:5000/models/qwen:1")),
        ("builtin://tiny", Source("builtin", "tiny")),
    ],
)
def test_sources_that_are_well_formed(url: str, source: Source) -> None:
    assert parse_source(url) == source


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("hf://Qwen", 'must be hf://owner/name or hf://owner/name@revision, got "hf://Qwen"'),
        ("file://models", 'must be file:///absolute/path, got "file://models"'),
        ("buildin://a", 'unknown source scheme "buildin"; did you mean "builtin"?'),
        ("ftp://a/b", 'unknown source scheme "ftp"; known here: hf, file, pvc, s3, oci, builtin'),
        ("builtin://", 'must be builtin://name, got "builtin://"'),
    ],
)
def test_sources_that_are_not(url: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_source(url)

    assert str(caught.value) == message


def test_a_family_says_which_sources_it_takes() -> None:
    echo = find_family("echo")
    assert echo is not None
    weighty = replace(echo, name="weighty", needs_source=True, sources=("hf", "builtin"))

    def message(source: str | None) -> list[str]:
        model = ModelSpec.model_validate({"family": "weighty", "source": source})
        return [problem.message for problem in check_model(model, weighty)]

    assert message("hf://a/b") == []
    assert message(None) == ["is required: the weighty family loads weights from hf://, builtin://"]
    assert message("s3://bucket") == ["the weighty family loads from hf://, builtin://, not s3://"]
    assert message("hf://a") == ['must be hf://owner/name or hf://owner/name@revision, got "hf://a"']
