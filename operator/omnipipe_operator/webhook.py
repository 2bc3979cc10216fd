"""The validating admission webhook: one path, one answer with everything that is wrong, in the words of `omnipipe
validate`. It looks at the one object that is in the review and asks nobody: what cannot be known from it alone is
reported later, as a condition.
"""

import asyncio
import json
import logging
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from omnipipe.families.registry import family_names, find_family
from omnipipe.spec.errors import ManifestError
from omnipipe.spec.reader import read_object
from omnipipe_operator.errors import StartFailed
from omnipipe_operator.metrics import Metrics
from omnipipe_operator.process_settings import Listen, WebhookSettings

__all__ = ["review", "serve_webhook"]

_logger = logging.getLogger(__name__)
_LARGEST: Final = 4 << 20
"""Bytes: an update carries the object twice, and objects end at 1.5 MiB."""
_READ_S: Final = 5.0
_LOOK_S: Final = 10.0
_SHUTDOWN_S: Final = 2.0


class NotAReview(ValueError):
    """The body is no AdmissionReview; its words go to whoever sent it."""


def review(body: Any) -> dict[str, Any]:
    """The answer to an AdmissionReview. Raises NotAReview."""
    match body:
        case {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {"uid": str(uid)} as request}:
            response = {"uid": uid, **_verdict(request)}
        case _:
            raise NotAReview("expected an AdmissionReview of admission.k8s.io/v1")
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}


def _verdict(request: Mapping[str, Any]) -> dict[str, Any]:
    value = request.get("object")
    if request.get("operation") == "DELETE" or not isinstance(value, dict):
        return {"allowed": True}
    if value.get("metadata", {}).get("deletionTimestamp"):
        return {"allowed": True}  # it is going: whoever removes the last finalizer must not be held up
    try:
        read_object(value, find_family, family_names())
    except ManifestError as error:
        return {"allowed": False, "status": {"code": 422, "reason": "Invalid", "message": str(error)}}
    return {"allowed": True}


@asynccontextmanager
async def serve_webhook(settings: WebhookSettings, metrics: Metrics) -> AsyncIterator[Listen]:
    """Raises StartFailed."""

    async def validate(request: web.Request) -> web.Response:
        try:
            async with asyncio.timeout(_READ_S):
                body = json.loads(await request.read())
            answer = review(body)
        except (ValueError, TimeoutError) as error:
            metrics.webhook.labels("error").inc()
            return web.Response(status=400, text=f"{str(error) or 'the body came too slowly'}\n")
        metrics.webhook.labels("allowed" if answer["response"]["allowed"] else "denied").inc()
        return web.json_response(answer)

    app = web.Application(client_max_size=_LARGEST)
    app.router.add_post("/validate", validate)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_S)
    await runner.setup()
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        _load(context, settings)
        try:
            await web.TCPSite(runner, settings.listen.host, settings.listen.port, ssl_context=context).start()
        except OSError as error:
            raise StartFailed(f"cannot listen on {settings.listen}: {error.strerror or error}") from error
        reloading = asyncio.create_task(_reload(context, settings), name="webhook certificate")
        try:
            yield Listen(settings.listen.host, runner.addresses[0][1])
        finally:
            reloading.cancel()
            await asyncio.gather(reloading, return_exceptions=True)
    finally:
        await runner.cleanup()


def _load(context: ssl.SSLContext, settings: WebhookSettings) -> None:
    try:
        context.load_cert_chain(settings.certificate, settings.key)
    except (OSError, ssl.SSLError) as error:
        raise StartFailed(f"cannot use {settings.certificate} with {settings.key}: {error}") from error


async def _reload(context: ssl.SSLContext, settings: WebhookSettings) -> None:
    """New connections get the new certificate. One that cannot be read is no reason to stop serving the old."""
    files = (settings.certificate, settings.key)
    loaded = await asyncio.to_thread(_stamps, files)
    while True:
        await asyncio.sleep(_LOOK_S)
        found = await asyncio.to_thread(_stamps, files)
        if found == loaded:
            continue
        try:
            _load(context, settings)
        except StartFailed as error:
            _logger.warning("the webhook keeps its old certificate: %s", error)
            continue
        loaded = found
        _logger.info("the webhook's certificate was loaded anew")


def _stamps(files: tuple[Path, Path]) -> tuple[float | None, ...]:
    return tuple(file.stat().st_mtime if file.exists() else None for file in files)
