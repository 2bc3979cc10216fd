"""What the API server writes down of every write it is asked for: who, which verb, what. Read by tests that count."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Audit", "Write"]

_POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted, Panic]
rules:
- level: None
  resources: [{group: coordination.k8s.io, resources: [leases]}]
- level: Metadata
  verbs: [create, update, patch, delete, deletecollection]
"""


@dataclass(frozen=True, slots=True)
class Write:
    user: str
    agent: str
    verb: str
    resource: str
    """With its subresource: omnipipelines/status."""
    namespace: str
    name: str
    code: int


class Audit:
    def __init__(self, folder: Path) -> None:
        self._policy, self._log = folder / "audit-policy.yaml", folder / "audit.log"

    @property
    def flags(self) -> Sequence[str]:
        """For the API server. Leases are not written down: they are renewed for ever."""
        self._policy.write_text(_POLICY, encoding="utf-8")
        mode = "--audit-log-mode=blocking-strict"  # a write is in the log before it is answered
        return (f"--audit-policy-file={self._policy}", f"--audit-log-path={self._log}", mode)

    def mark(self) -> int:
        """A moment: what is written down later comes after it."""
        return self._log.stat().st_size if self._log.exists() else 0

    def writes(self, since: int = 0, *, user: str | None = None, namespace: str | None = None) -> list[Write]:
        return [
            write for write in self._read(since) if user in (None, write.user) and namespace in (None, write.namespace)
        ]

    def _read(self, since: int) -> Iterator[Write]:
        with self._log.open("rb") as log:
            log.seek(since)
            for line in log:
                if not line.endswith(b"\n"):
                    return
                event = json.loads(line)
                what = event.get("objectRef", {})
                subresource = f"/{what['subresource']}" if "subresource" in what else ""
                yield Write(
                    event["user"]["username"],
                    event.get("userAgent", ""),
                    event["verb"],
                    what.get("resource", "") + subresource,
                    what.get("namespace", ""),
                    what.get("name", ""),
                    event.get("responseStatus", {}).get("code", 0),
                )
