"""Everything that service accounts ask of an API server, reads included, as its audit log has it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

__all__ = ["Asked", "Question"]

_POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, Panic]
rules:
- level: Metadata
  userGroups: [system:serviceaccounts]
"""


class Question(NamedTuple):
    """As a rule of a Role has it."""

    group: str
    resource: str
    """With its subresource: omnipipelines/status."""
    verb: str
    allowed: bool


class Asked:
    def __init__(self, folder: Path) -> None:
        self._policy, self._log = folder / "asked-policy.yaml", folder / "asked.log"

    @property
    def flags(self) -> Sequence[str]:
        """For the API server."""
        self._policy.write_text(_POLICY)
        mode = "--audit-log-mode=blocking"
        return (f"--audit-policy-file={self._policy}", f"--audit-log-path={self._log}", mode)

    def by(self, user: str) -> set[Question]:
        """What was applied and was not there yet takes the right to create, too."""
        found: set[Question] = set()
        for line in self._log.read_text().splitlines(keepends=True):
            if not line.endswith("\n"):
                break
            event = json.loads(line)
            what = event.get("objectRef", {})
            if event["user"]["username"] != user or "resource" not in what:
                continue
            resource = "/".join(filter(None, (what["resource"], what.get("subresource"))))
            code = event.get("responseStatus", {}).get("code", 200)
            verbs = [event["verb"], *(["create"] if (event["verb"], code) == ("patch", 201) else [])]
            found.update(Question(what.get("apiGroup", ""), resource, verb, code != 403) for verb in verbs)
        return found
