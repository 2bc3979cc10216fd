"""The writes that the operator makes for one pipeline, recorded against an API server in memory: what P8's bare client
sends again, with other names."""

import json
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import aiohttp

from omnipipe_operator.cache import Cache, Key
from omnipipe_operator.carry import Carrier, Stale
from omnipipe_operator.cluster.kinds import PIPELINE, Kind
from omnipipe_operator.cluster.memory import MemoryCluster
from omnipipe_operator.cluster.port import Applied
from omnipipe_operator.crashes import LastWords
from omnipipe_operator.decide import decide
from omnipipe_operator.events import Recorder
from omnipipe_operator.gateways import Gateways
from omnipipe_operator.look import Looker
from omnipipe_operator.metrics import Metrics
from omnipipe_operator.observed import Object
from omnipipe_operator.podwarnings import PodWarnings
from omnipipe_operator.queue import WorkQueue
from omnipipe_operator.reconcile import Reconciler
from omnipipe_operator.references import References
from omnipipe_operator.settings import OperatorSettings

__all__ = ["NAME", "NAMESPACE", "UID", "Write", "record"]

NAME, NAMESPACE = "recorded-pipeline", "recorded-namespace"
UID = "recorded-uid"
_ROUNDS = 8


@dataclass(frozen=True)
class Write:
    verb: Literal["apply", "status", "create"]
    kind: Kind
    value: Object


class _Recording(MemoryCluster):
    def __init__(self) -> None:
        super().__init__()
        self.sent: list[Write] = []

    async def apply(self, kind: Kind, value: Object, *, new: bool = False) -> Applied:
        self.sent.append(Write("apply", kind, value))
        return await super().apply(kind, value, new=new)

    async def apply_status(self, kind: Kind, value: Object) -> Object:
        self.sent.append(Write("status", kind, value))
        return await super().apply_status(kind, value)

    async def create(self, kind: Kind, value: Object) -> Object:
        self.sent.append(Write("create", kind, value))
        return await super().create(kind, value)


async def record(spec: Object) -> list[Write]:
    """In their order. `UID` stands for the pipeline's uid."""
    cluster, cache, key = _Recording(), Cache(), Key(NAMESPACE, NAME)
    head = {"name": NAME, "namespace": NAMESPACE}
    pipeline = {"apiVersion": PIPELINE.api_version, "kind": PIPELINE.name, "metadata": head, "spec": spec}
    made = await cluster.create(PIPELINE, pipeline)
    cluster.sent.clear()
    cache.put(PIPELINE, made)
    settings = OperatorSettings(gateway_image="example.org/gateway:1", stage_image="example.org/stage:1")
    async with aiohttp.ClientSession() as session:
        asks = Gateways(session), LastWords(cluster), PodWarnings(cluster)
        looker = Looker(cluster, cache, *asks, References().of, frozenset)
        carrier = Carrier(cluster, cache, lambda: None, lambda *_: None)
        reconciler = Reconciler(
            cache, WorkQueue(), looker, partial(decide, settings=settings), carrier, Recorder(cluster), Metrics()
        )
        for _ in range(_ROUNDS):
            try:
                await reconciler.reconcile(key)
            except Stale:
                continue
    return [_generic(write, made["metadata"]["uid"]) for write in cluster.sent]


def _generic(write: Write, uid: str) -> Write:
    head = {name: part for name, part in write.value["metadata"].items() if name != "uid"}
    text = json.dumps({**write.value, "metadata": head})
    return replace(write, value=json.loads(text.replace(f'"{uid}"', f'"{UID}"')))
