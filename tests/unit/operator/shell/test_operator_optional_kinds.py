"""Kinds of other people's installations, while their API is away."""

from omnipipe_operator.cluster.errors import Unavailable
from omnipipe_operator.cluster.kinds import OPTIONAL_KINDS
from omnipipe_operator.cluster.memory import MemoryCluster
from omnipipe_operator.optional import OptionalKinds


class Ill(MemoryCluster):
    away: str | None = None

    async def served(self, api_version: str) -> frozenset[str]:
        if api_version == self.away:
            raise Unavailable("no endpoints", 503)
        return await super().served(api_version)


async def test_what_cannot_be_asked_for_has_not_vanished() -> None:
    cluster = Ill()
    optional = OptionalKinds(cluster)
    await optional.look()
    cluster.away = OPTIONAL_KINDS[0].api_version
    cluster.kinds -= {kind.key for kind in OPTIONAL_KINDS}

    appeared, vanished = await optional.look()

    assert not appeared
    assert vanished == {kind for kind in OPTIONAL_KINDS if kind.api_version != cluster.away}
    assert optional.keys() == {kind.key for kind in OPTIONAL_KINDS if kind.api_version == cluster.away}
