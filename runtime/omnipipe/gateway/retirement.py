"""Deleting a model while the process goes on with the others: from the first moment nobody finds it any more, what runs
finishes, then the gateway lets go of its stages.
"""

import asyncio
import logging

from omnipipe.gateway.served import ModelTable, Served

__all__ = ["retire"]

_log = logging.getLogger("omnipipe.gateway")

_LOOK_EVERY_S = 0.05
"""Nobody waits for the end of a drain to the millisecond."""


async def retire(served: Served, models: ModelTable, grace_s: float) -> bool:
    """Whether all its requests, those in the queue among them, finished by themselves within `grace_s`."""
    models.withdraw(served)
    _log.info("the model %s is deleted: its running requests have %g s to finish", served.name, grace_s)
    loop = asyncio.get_running_loop()
    end = loop.time() + grace_s
    try:
        # The coordinator's own drain turns away who waits in its queue; these were accepted, and have their turn first.
        # The first look comes late on purpose: a request that was understood a moment ago submits its choices yet.
        await asyncio.sleep(min(_LOOK_EVERY_S, grace_s))
        while _busy(served) and loop.time() < end:  # noqa: ASYNC110  # a coordinator has no event for it
            await asyncio.sleep(_LOOK_EVERY_S)
        finished = await served.coordinator.drain(max(0.0, end - loop.time()))
        if served.unload is not None:
            await served.unload()
    finally:
        models.forget(served)
    return finished


def _busy(served: Served) -> bool:
    health = served.coordinator.health()
    return bool(health.in_flight or health.queued)
