"""An admission webhook of the cluster's owner has the last word, and there is no fight about it."""

import logging

import pytest
from tests.unit.operator.shell.test_operator_reconcile import CONFIG, Rig

from omnipipe_operator.cluster.kinds import Kind
from omnipipe_operator.cluster.port import Applied
from omnipipe_operator.observed import Object


def overruling(rig: Rig, data: dict[str, str]) -> None:
    """From now on the server keeps each ConfigMap `a` with `data`, whatever is applied."""
    apply = rig.cluster.apply

    async def changed(kind: Kind, value: Object, *, new: bool = False) -> Applied:
        applied = await apply(kind, value, new=new)
        if value["metadata"]["name"] != "a":
            return applied
        kept = await rig.cluster.edit(CONFIG, "ns", "a", lambda live: live.update(data=data))
        return Applied(kept, applied.created)

    rig.cluster.apply = changed  # type: ignore[method-assign]


async def test_what_the_server_keeps_otherwise_is_written_once_and_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    async with Rig() as rig:
        overruling(rig, {"x": "theirs"})

        writes = await rig.settle()

        assert [name for verb, kind, name in writes if kind == "ConfigMap"] == ["a", "b"]
        [line] = [record.getMessage() for record in caplog.records if "keeps" in record.getMessage()]
        assert line.startswith("ns/chat: the server keeps ConfigMap a otherwise: ")
        assert "data" in line


async def test_it_is_tried_again_when_something_else_is_wrong_with_it() -> None:
    async with Rig() as rig:
        overruling(rig, {"x": "theirs"})
        await rig.settle()

        await rig.edit("a", lambda live: live["metadata"]["labels"].pop("app.kubernetes.io/component"))

        assert ("apply", "ConfigMap", "a") in await rig.settle()


async def test_once_the_server_takes_it_nothing_is_tolerated_any_more() -> None:
    async with Rig() as rig:
        original = rig.cluster.apply
        overruling(rig, {"x": "theirs"})
        await rig.settle()
        rig.cluster.apply = original  # type: ignore[method-assign]
        rig.wanted["a"] = {"x": "2"}
        await rig.settle()

        await rig.edit("a", lambda live: live.update(data={"x": "theirs"}))

        assert ("apply", "ConfigMap", "a") in await rig.settle()
