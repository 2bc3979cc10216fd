"""What the operator's process is told on its command line, parsed once and passed down. What the deciding half needs to
know is in `settings`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

__all__ = ["Listen", "ProcessSettings", "WebhookSettings"]


@dataclass(frozen=True, slots=True)
class Listen:
    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSettings:
    listen: Listen
    certificate: Path
    key: Path
    """Both are read again when they change: certificates are renewed under a running process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSettings:
    kubeconfig: Path | None = None
    """None: the pod's service account, else where kubectl looks."""
    context: str | None = None
    namespaces: tuple[str, ...] = ()
    """Empty: all, which takes a ClusterRole."""
    identity: str
    """Names this process in the Lease."""
    lease_namespace: str | None = None
    """None: this is the only operator, and it leads without asking."""
    listen: Listen = Listen("0.0.0.0", 8080)
    """Probes and metrics, plain HTTP."""
    webhook: WebhookSettings | None = None
    workers: int = 8
    """Pipelines that are worked on at a time. Each waits mostly for the API server; more only queue there."""
    resync_s: float = 600.0
    """Every pipeline is looked at again within this time, though nothing was heard of it."""
    calls_per_s: float = 0.0
    """Calls to the API server; 0: as fast as it answers to so few workers. Its own priority and fairness protects
    others; a limit here only makes a thousand pipelines slower."""
    call_burst: int = 200
    log_format: Literal["text", "json"] = "json"
    log_level: str = "info"
