"""`python -m tests.cluster.operator.broken BREAKS ...`: the operator, but its process ends in the middle of its work.
BREAKS is JSON: {"die_at_write": N, "before": bool}. A seam for tests, in no package."""

import json
import os
import sys
from functools import partial
from typing import Any

from omnipipe_operator.arguments import parse
from omnipipe_operator.cluster.kinds import LEASE
from omnipipe_operator.cluster.port import Cluster
from omnipipe_operator.decide import decide
from omnipipe_operator.entry import run
from omnipipe_operator.known import Known
from omnipipe_operator.references import References

_WRITES = frozenset({"apply", "apply_status", "create", "replace", "delete"})
DIED = 86


class Dying:
    """Hands every call on. The process ends, as by SIGKILL, at the Nth write: before it, or when it was answered."""

    def __init__(self, cluster: Cluster, at: int, before: bool) -> None:
        self._cluster, self._at, self._before, self._count = cluster, at, before, 0

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._cluster, name)
        return partial(self._write, call) if name in _WRITES else call

    async def _write(self, call: Any, kind: Any, *args: Any, **options: Any) -> Any:
        self._count += kind is not LEASE
        last = self._count == self._at
        if last and self._before:
            os._exit(DIED)
        answer = await call(kind, *args, **options)
        if last:
            os._exit(DIED)
        return answer


def main() -> None:
    breaks = json.loads(sys.argv[1])
    process, settings = parse(sys.argv[2:])
    at, before = breaks.get("die_at_write", 0), breaks.get("before", False)

    def wrap(cluster: Cluster) -> Cluster:
        dying: Any = Dying(cluster, at, before)
        whole: Cluster = dying  # it hands everything on
        return whole

    sys.exit(run(process, partial(decide, settings=settings, known=Known()), References().of, wrap))


if __name__ == "__main__":
    main()
