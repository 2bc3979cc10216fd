"""Statuses that are written: of the pipeline and of its stages, when they say something else, and to ours alone."""

from tests.unit.operator.shell.test_operator_reconcile import KEY, Rig

from omnipipe_operator.carry import Carrier
from omnipipe_operator.children import Owner
from omnipipe_operator.cluster.kinds import STAGE
from omnipipe_operator.look import Memory
from omnipipe_operator.observed import Decision, Object

LABELS = {"app.kubernetes.io/managed-by": "omnipipe", "omnipipe.dev/pipeline": "chat"}


async def carried(rig: Rig, decision: Decision) -> int:
    """How many writes there were."""
    pipeline = rig.cache.pipeline(KEY)
    assert pipeline is not None
    carrier = Carrier(rig.cluster, rig.cache, rig.permit, lambda *_: None)
    writes, refused = await carrier.carry_out(pipeline, decision, Memory())
    assert refused == []
    return writes


async def stage(rig: Rig, name: str, *, ours: bool = True) -> None:
    pipeline = rig.cache.pipeline(KEY)
    assert pipeline is not None
    head: Object = {"name": name, "namespace": "ns", "labels": LABELS}
    if ours:
        head["ownerReferences"] = [Owner.of(pipeline).reference]
    await rig.cluster.create(STAGE, {"apiVersion": STAGE.api_version, "kind": STAGE.name, "metadata": head, "spec": {}})
    await rig.sync()


async def status_of(rig: Rig, name: str) -> object:
    return (await rig.cluster.get(STAGE, "ns", name)).get("status")


async def test_a_stages_status_is_written_once() -> None:
    async with Rig() as rig:
        await stage(rig, "chat-words")
        decision = Decision(apply=(), stage_statuses={"chat-words": {"readyReplicas": 2}})

        assert await carried(rig, decision) == 1
        assert await status_of(rig, "chat-words") == {"readyReplicas": 2}
        assert await carried(rig, decision) == 0


async def test_of_a_stage_that_is_not_there_or_not_ours_none_is_written() -> None:
    async with Rig() as rig:
        await stage(rig, "chat-theirs", ours=False)
        statuses: dict[str, Object] = {"chat-theirs": {"readyReplicas": 2}, "chat-gone": {"readyReplicas": 1}}

        assert await carried(rig, Decision(apply=(), stage_statuses=statuses)) == 0
        assert await status_of(rig, "chat-theirs") is None


async def test_the_pipelines_status_counts_as_a_write_and_none_is_none() -> None:
    async with Rig() as rig:
        assert await carried(rig, Decision(apply=(), status={"readyStages": "1/1"})) == 1
        assert await carried(rig, Decision(apply=(), status={"readyStages": "1/1"})) == 0
        assert await carried(rig, Decision(apply=())) == 0
