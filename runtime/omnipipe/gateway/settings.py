"""What a gateway process is told at start. Parsed once by the command line, then passed down; read nowhere else."""

from dataclasses import dataclass
from pathlib import Path

__all__ = ["GatewaySettings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    host: str = "127.0.0.1"
    """Loopback unless asked otherwise: nothing should listen to a network by accident."""
    port: int = 8000
    """0: any free one; the readiness line says which."""
    listen_fd: int | None = None
    """A socket that listens already, in place of `host` and `port`."""

    api_keys: tuple[str, ...] = ()
    """Accepted bearer keys (from OMNIPIPE_API_KEYS). None here and no file: no key is asked for."""
    api_keys_file: Path | None = None
    """One key a line, `#` starts a comment. Added to `api_keys`."""

    max_body_bytes: int = 32 << 20
    """Room for some base64 media; JSON of this size still parses in well under 0.1 s on the event loop."""
    body_timeout_s: float = 60.0
    """For the whole body, however it trickles: 32 MiB in this time is 4.5 Mbit/s."""
    header_timeout_s: float = 15.0
    """From connecting, or from the first byte of a request on a kept connection, to its last header."""
    send_timeout_s: float = 300.0
    """A client that takes nothing at all for this long is cut off (TCP_USER_TIMEOUT). Long, for a slow reader is
    legitimate: it pauses its own request alone."""
    keep_alive_s: float = 75.0
    """How long an idle connection is kept; longer than the 60 s of common load balancers, so that they close first."""
    max_connections: int = 4096
    max_choices: int = 16
    """Prompts times `n` in one request: each is a request to the pipeline."""

    cors_origins: tuple[str, ...] = ()
    """Origins whose pages may call; `*` for any. Empty: no CORS headers at all."""
    access_log: bool = True
    trust_request_id: bool = True
    """Take over a client's `x-request-id`. Off: always make our own (a gateway open to strangers)."""

    grace_s: float = 30.0
    """On SIGTERM, how long running requests may take to finish."""
    lame_duck_s: float = 0.0
    """On SIGTERM, how long everything is still served while /readyz says no, before nothing new is admitted: behind a
    load balancer, which hears of an end only some seconds later. 0 on one machine, where nobody needs to hear."""
    ready_fd: int | None = None
    """A line is written to it when the gateway listens, `ready`; when every stage can be asked for the first time,
    `routable`; when a model is gone, `deleted <pipeline>`."""

    curve_dir: Path | None = None
    events_dir: Path | None = None
    """Record the events of requests there. None: record none, and refuse requests that ask."""
    events_of_all: bool = True
    """With `events_dir`: of every request, or of those that ask with `"events": true`."""
    stage_admin: tuple[str, ...] = ()
    """Admin addresses of stages on this machine (`unix:/path` or `host:port`): `/metrics` shows theirs beside its own.
    Empty in a cluster, where each pod is scraped by itself."""
