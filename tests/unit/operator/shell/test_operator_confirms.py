"""Before its first write the operator makes sure, once, that the pipeline it decided on is still there."""

from tests.unit.operator.shell.test_operator_reconcile import KEY, Picky, Rig

from omnipipe_operator.carry import Stale
from omnipipe_operator.cluster.kinds import PIPELINE, Kind
from omnipipe_operator.observed import Object


class Asked(Picky):
    pipelines = 0

    async def get(self, kind: Kind, namespace: str, name: str) -> Object:
        self.pipelines += kind is PIPELINE
        return await super().get(kind, namespace, name)


async def test_for_any_number_of_children_it_asks_once_and_for_none_it_does_not() -> None:
    rig = Rig()
    rig.cluster = asked = Asked()
    async with rig:
        rig.wanted = {name: {} for name in "abcdef"}
        await rig.reconciler.reconcile(KEY)
        assert asked.pipelines == 1

        await rig.settle()
        before = asked.pipelines
        await rig.settle()
        assert asked.pipelines == before


async def test_a_pipeline_that_is_going_gets_no_children() -> None:
    async with Rig() as rig:
        await rig.cluster.edit(
            PIPELINE, "ns", "chat", lambda live: live["metadata"].update(deletionTimestamp="2030-01-01T00:00:00Z")
        )
        try:
            await rig.reconciler.reconcile(KEY)
        except Stale as stale:
            assert str(stale) == "the pipeline has changed"
        else:
            raise AssertionError("it was not looked at")
        assert [write for write in rig.cluster.writes if write[1] == "ConfigMap"] == []
