"""When an object is written, and when it is left alone."""

from typing import Any

import pytest

from omnipipe_operator.writes import differences, same_status


@pytest.mark.parametrize(
    ("desired", "live"),
    [
        ({"a": 1}, {"a": 1, "b": 2}),
        ({"labels": {"ours": "x"}}, {"labels": {"ours": "x", "somebody": "else's"}}),
        ({"limits": {"cpu": "1000m"}}, {"limits": {"cpu": "1"}}),
        ({"limits": {"memory": "1024Mi"}}, {"limits": {"memory": "1Gi"}}),
        ({"limits": {"cpu": 2}}, {"limits": {"cpu": "2"}}),
        ({"emptyDir": {"sizeLimit": "1e3"}}, {"emptyDir": {"sizeLimit": "1k"}}),
        ({"volumes": [], "annotations": {}, "note": None}, {}),
        ({"containers": [{"name": "b"}]}, {"containers": [{"name": "a"}, {"name": "b", "image": "x"}]}),
        ({"ports": [{"name": "http", "port": 80}]}, {"ports": [{"name": "http", "port": 80, "protocol": "TCP"}]}),
        ({"args": ["a", "b"]}, {"args": ["a", "b"]}),
    ],
)
def test_what_is_as_desired_is_not_written(desired: dict[str, Any], live: dict[str, Any]) -> None:
    assert differences(desired, live) == []


@pytest.mark.parametrize(
    ("desired", "live", "path"),
    [
        ({"a": {"b": 1}}, {"a": {"b": 2}}, "a.b"),
        ({"a": {"b": 1}}, {"a": {}}, "a.b"),
        ({"a": {"b": 1}}, {}, "a"),
        ({"readOnlyRootFilesystem": False}, {}, "readOnlyRootFilesystem"),
        ({"replicas": 0}, {}, "replicas"),
        ({"limits": {"cpu": "1"}}, {"limits": {"cpu": "2"}}, "limits.cpu"),
        ({"args": ["a"]}, {"args": ["a", "b"]}, "args"),
        ({"args": ["a"]}, {"args": ["b"]}, "args[0]"),
        ({"env": [{"name": "A", "value": "1"}]}, {"env": [{"name": "A", "value": "1.0"}]}, "env[name=A].value"),
        ({"env": [{"name": "A"}, {"name": "B"}]}, {"env": [{"name": "A"}]}, "env[name=B]"),
        ({"rules": [{"x": 1}, {"x": 2}]}, {"rules": [{"x": 1}]}, "rules"),
    ],
)
def test_what_is_not_is_named(desired: dict[str, Any], live: dict[str, Any], path: str) -> None:
    assert differences(desired, live) == [path]


def test_a_status_is_compared_whole() -> None:
    assert same_status({"url": "x", "revision": None}, {"url": "x"})
    assert same_status(None, {})
    assert not same_status({"url": "x"}, {"url": "x", "updateRevision": "old"})
    assert not same_status({"conditions": []}, {"conditions": [{"type": "Ready"}]})
