"""The whole of what examples/echo.yaml becomes, as committed for reviewers."""

from tests.unit.operator.children.golden import FILE, example, golden


def test_the_committed_rendering_is_the_one_that_is_made() -> None:
    """When it is meant to differ: python -m tests.unit.operator.children.golden."""
    assert FILE.read_text(encoding="utf-8") == golden(example())
