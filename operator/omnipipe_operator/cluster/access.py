"""The way to the cluster: a kubeconfig that was named, else the pod's own service account, else the kubeconfig that
kubectl would take.
"""

import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import yaml
from kubernetes.aio.client import Configuration
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config

from omnipipe_operator.cluster.errors import AccessError

__all__ = ["Access", "find_access"]

_POOL = 64
"""Connections: the workers, the watches, and room. HTTP/1.1: one call at a time on each."""


_load_incluster = cast(Callable[[Configuration], None], load_incluster_config)
_load_kubeconfig = cast(Callable[..., Awaitable[object]], load_kube_config)


class Access:
    """Address and credentials, for the adapter and for kopf. Tokens are read anew when they are about to expire."""

    def __init__(self, configuration: Configuration, source: str) -> None:
        self.configuration, self.source = configuration, source

    async def headers(self) -> dict[str, str]:
        settings: Mapping[str, Any] = await self.configuration.auth_settings()
        headers = {str(auth["key"]): str(auth["value"]) for auth in settings.values() if auth["in"] == "header"}
        if self.configuration.username:
            headers["authorization"] = str(self.configuration.get_basic_auth_token())
        return headers


async def find_access(kubeconfig: Path | None, context: str | None) -> Access:
    """Raises AccessError."""
    configuration = Configuration()
    try:
        if kubeconfig is None and context is None and "KUBERNETES_SERVICE_HOST" in os.environ:
            _load_incluster(configuration)
            source = "the pod's service account"
        else:
            named = str(kubeconfig) if kubeconfig else os.environ.get("KUBECONFIG")
            await _load_kubeconfig(named, context, configuration, persist_config=False)
            source = named or "~/.kube/config"
    except (ConfigException, OSError, KeyError, ValueError, yaml.YAMLError) as error:
        words = str(error).rstrip(".") or type(error).__name__
        raise AccessError(f"no way to a cluster: {words}. Give --kubeconfig, or run in a pod") from error
    configuration.connection_pool_maxsize = _POOL
    configuration.proxy = configuration.proxy or _proxy_to(configuration.host)
    return Access(configuration, source)


def _proxy_to(host: str) -> str | None:
    """As the environment has it: HTTPS_PROXY, NO_PROXY."""
    parts = urlsplit(host)
    return None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)
