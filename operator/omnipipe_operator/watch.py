"""kopf, as the watch layer for OmniPipelines and nothing else: the only module that imports it.

Only `kopf.on.event`, which writes no annotations and no finalizers and keeps no state in the cluster; what it delivers
goes into the cache and the queue, and nothing is ever decided here. kopf runs in a thread with a loop of its own, for
it cancels every task of the loop that it finds when it ends.

Two things that kopf does not tell are made up for elsewhere: that its first list is complete (the cache is filled by a
list of our own before kopf starts), and that a pipeline vanished while kopf was not watching, as when the API server
has restarted and has no history to resume from (each resync lists again, and nothing is written for a pipeline before
it was read from the server). For children that would not do, and `follow.py` watches them.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal, cast

import kopf

from omnipipe_operator.cluster.access import Access
from omnipipe_operator.cluster.kinds import PIPELINE
from omnipipe_operator.errors import WatchEnded
from omnipipe_operator.observed import Object

__all__ = ["KopfWatch"]

_PAGE: Final = 500
_CONNECT_S: Final = 5.0
_REQUEST_S: Final = 30.0
_BACKOFFS_S: Final = (0.2, 0.5, 1, 2, 5, 5, 10, 10, 10, 10, 10, 10)
"""kopf ends when a list fails more often than this: longer than an API server takes to restart."""
_EXIT_S: Final = 10.0

Deliver = Callable[[Literal["DELETED"] | None, Object], None]


class KopfWatch:
    """`deliver` is called in the loop in which `run` runs."""

    def __init__(self, access: Access, namespaces: Sequence[str], deliver: Deliver) -> None:
        self._access, self._namespaces, self._deliver = access, namespaces, deliver
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = threading.Event()

    async def run(self) -> None:
        """Until cancelled. Raises WatchEnded when kopf ends by itself."""
        self._loop = asyncio.get_running_loop()
        ended: asyncio.Future[BaseException | None] = self._loop.create_future()
        thread = threading.Thread(target=self._in_thread, args=(ended,), name="kopf", daemon=True)
        thread.start()
        try:
            error = await ended
        finally:
            self._stop.set()
            await asyncio.to_thread(thread.join, _EXIT_S)
        words = f"{type(error).__name__}: {error}" if error else "without a word"
        raise WatchEnded(f"kopf stopped watching, {words}") from error

    def _in_thread(self, ended: "asyncio.Future[BaseException | None]") -> None:
        error: BaseException | None = None
        try:
            asyncio.run(self._operate())
        except BaseException as caught:  # the border of the thread: whatever it was, the process ends on it
            error = caught
        loop = cast(asyncio.AbstractEventLoop, self._loop)
        try:
            loop.call_soon_threadsafe(lambda: None if ended.done() else ended.set_result(error))
        except RuntimeError:  # the process is ending, its loop is closed
            pass

    async def _operate(self) -> None:
        registry = kopf.OperatorRegistry()
        kopf.on.login(registry=registry)(self._login)
        group, _, version = PIPELINE.api_version.partition("/")
        kopf.on.event(group, version, PIPELINE.plural, registry=registry)(self._handler())
        try:
            await kopf.operator(
                registry=registry,
                settings=_settings(),
                standalone=True,  # leadership is ours: kopf's peering would need a kind of its own
                clusterwide=not self._namespaces,
                namespaces=list(self._namespaces),
                stop_flag=self._stop,
            )
        finally:
            self._stop.set()  # kopf waits for it in a thread that would outlive its loop

    def _handler(self) -> Any:
        loop = cast(asyncio.AbstractEventLoop, self._loop)

        async def pipeline_seen(event: Any, **_more: object) -> None:
            how: Literal["DELETED"] | None = "DELETED" if event["type"] == "DELETED" else None
            loop.call_soon_threadsafe(self._deliver, how, dict(event["object"]))

        return pipeline_seen

    async def _login(self, **_: object) -> kopf.ConnectionInfo:
        own = self._access.configuration
        scheme, _space, token = (await self._access.headers()).get("authorization", "").partition(" ")
        return kopf.ConnectionInfo(
            server=own.host,
            ca_path=own.ssl_ca_cert,
            ca_data=own.ca_cert_data,
            insecure=not own.verify_ssl,
            certificate_path=own.cert_file,
            private_key_path=own.key_file,
            scheme=scheme or None,
            token=token or None,
            proxy_url=own.proxy,
        )


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False  # events are ours to write
    settings.scanning.disabled = True  # no rights on CRDs and namespaces are needed
    settings.watching.chunk_size = _PAGE
    settings.watching.connect_timeout = _CONNECT_S
    settings.networking.request_timeout = _REQUEST_S
    settings.networking.error_backoffs = _BACKOFFS_S
    settings.queueing.idle_timeout = 1.0
    settings.execution.max_workers = 1  # every handler is a coroutine
    logging.getLogger("kopf").setLevel(logging.WARNING)
    logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)  # that signals are ours is as it should be
    return settings
