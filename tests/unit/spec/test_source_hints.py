"""A source without a scheme: what was probably meant is offered in full."""

import pytest

from omnipipe.spec.sources import likely_source


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("Qwen/Qwen3-0.6B", '; did you mean "hf://Qwen/Qwen3-0.6B"?'),
        ("/srv/models/mine", '; did you mean "file:///srv/models/mine"?'),
        ("./mine", "; for a folder on this machine write file:// and its absolute path"),
        ("~/models/mine", "; for a folder on this machine write file:// and its absolute path"),
        ("${MODEL}", ""),
        ("tiny", ""),
        ("/srv/my model", ""),
        ("C:\\models", ""),
    ],
)
def test_the_likely_source(text: str, hint: str) -> None:
    assert likely_source(text) == hint
