"""P8: many pipelines of four stages applied at once against a bare control plane: until all their children stand.

Beside it, on a control plane of its own, the same writes from a bare client: one process, as many connections as the
operator has workers, that sends ready-made objects and decides nothing. Both create the pipelines first. Then the
operator is started anew, so that it lists and looks at everything: what it writes then, what a look that changes
nothing costs, and how large it is.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.request import urlopen

import psutil
from bench.p8_recorded import NAME, NAMESPACE, UID, Write, record
from bench.row import Row
from tests.cluster.audit import Audit
from tests.cluster.controlplane import ControlPlane
from tests.cluster.daemon import free_port
from tests.cluster.programs import Programs, find_programs

from omnipipe_operator.cluster.access import find_access
from omnipipe_operator.cluster.kinds import PIPELINE, Kind
from omnipipe_operator.cluster.kube import KubeCluster
from omnipipe_operator.cluster.limit import RateLimit
from omnipipe_operator.cluster.port import Cluster
from omnipipe_operator.follow import OURS
from omnipipe_operator.observed import Object

__all__ = ["rows"]

_ROOT = Path(__file__).parents[1]
_WORKERS = 8
_GOAL_S, _GOAL_RATIO, _GOAL_MB, _GOAL_CPU_MS = 258.0, 1.5, 300.0, 5.0
_REFERENCE_COUNT = 1000
_RESYNC_S = 20
_DEADLINE_S = 1800.0
_POLL_S = 0.25
_SELDOM_S = 2.0
"""Between two looks at the metrics of an operator whose work is being measured: each costs it some milliseconds."""
_QUIET_S = 5.0
_LOOKS = "omnipipe_operator_reconcile_total"
_WORK = "{} pipelines x 4 stages applied at once"
_EDGES = (("ingest", "words"), ("ingest", "pitch"), ("words", "compose"), ("pitch", "compose"))
_SPEC: Object = {
    "model": {"family": "echo"},
    "stages": [{"name": name, "type": name} for name in ("ingest", "words", "pitch", "compose")],
    "edges": [{"from": source, "to": target} for source, target in _EDGES],
    "outputs": [{"name": "text", "stage": "compose"}],
}


@dataclass(frozen=True)
class _Settled:
    """The operator, started anew among pipelines that stand."""

    rss_mb: float
    writes: int
    cpu_ms: float


def rows(pipelines: int = _REFERENCE_COUNT) -> list[Row]:
    programs = find_programs()
    work = _WORK.format(pipelines)
    if isinstance(programs, str):
        return [Row("P8", work, f"not run: {programs}", "", None, f"<= {_GOAL_S:.0f} s", False)]
    writes = asyncio.run(record(_SPEC))
    with _plane(programs) as (plane, _):
        bare_s = asyncio.run(_bare(plane, pipelines, writes))
    with _plane(programs) as (plane, audit):
        ours_s, settled = asyncio.run(_ours(plane, audit, pipelines, writes))
    ratio = ours_s / bare_s
    goal_s = _GOAL_S * pipelines / _REFERENCE_COUNT
    count = len(writes) * pipelines
    return [
        Row(
            "P8", work, f"{ours_s:.1f} s until all stand", f"{bare_s:.1f} s: bare client, {count} writes", ratio,
            f"<= {goal_s:.0f} s, <= {_GOAL_RATIO}x", ours_s <= goal_s and ratio <= _GOAL_RATIO,
        ),
        Row("P8", "operator's memory with them", f"{settled.rss_mb:.0f} MB", "", None, f"<= {_GOAL_MB:.0f} MB",
            settled.rss_mb <= _GOAL_MB),
        Row("P8", "writes in a full resync", str(settled.writes), "", None, "0", settled.writes == 0),
        Row("-", "one no-op reconcile", f"{settled.cpu_ms:.1f} ms CPU", "", None, f"<= {_GOAL_CPU_MS:.0f} ms",
            settled.cpu_ms <= _GOAL_CPU_MS),
    ]  # fmt: skip


@contextmanager
def _plane(programs: Programs) -> Iterator[tuple[ControlPlane, Audit]]:
    with tempfile.TemporaryDirectory(prefix="p8-") as folder:
        audit = Audit(Path(folder))
        with ControlPlane(programs, Path(folder), _ROOT / "crds", audit.flags) as plane:
            yield plane, audit


async def _bare(plane: ControlPlane, pipelines: int, writes: Sequence[Write]) -> float:
    """Seconds."""
    async with _client(plane) as cluster:
        start = time.monotonic()
        names = await _create(cluster, pipelines)
        texts = [(write.verb, write.kind, json.dumps(write.value)) for write in writes]
        waiting = iter(names.items())

        async def send() -> None:
            for name, uid in waiting:
                for verb, kind, text in texts:
                    text = text.replace(NAME, name).replace(NAMESPACE, "default").replace(UID, uid)
                    await _write(cluster, verb, kind, json.loads(text))

        await asyncio.gather(*(send() for _ in range(_WORKERS)))
        return time.monotonic() - start


async def _write(cluster: Cluster, verb: str, kind: Kind, value: Object) -> None:
    match verb:
        case "apply":
            await cluster.apply(kind, value)
        case "status":
            await cluster.apply_status(kind, value)
        case _:
            await cluster.create(kind, value)


async def _ours(plane: ControlPlane, audit: Audit, pipelines: int, writes: Sequence[Write]) -> tuple[float, _Settled]:
    wanted: dict[Kind, int] = {}
    for write in {(write.kind, write.value["metadata"]["name"]) for write in writes if write.verb == "apply"}:
        wanted[write[0]] = wanted.get(write[0], 0) + pipelines
    async with _client(plane) as cluster:
        with _operator(plane) as port:
            await _until(partial(_is_ready, port))
            start = time.monotonic()
            await _create(cluster, pipelines)
            await _until(partial(_made, port, sum(wanted.values())))
            await _until(partial(_stand, cluster, wanted))
            took_s = time.monotonic() - start
            await _quiet(audit)
        with _operator(plane) as port:
            return took_s, await _settled(port, audit, pipelines)


async def _settled(port: int, audit: Audit, pipelines: int) -> _Settled:
    """The first round is of a process that knows nothing; the second one's cost is counted."""
    mark = audit.mark()

    async def looked(times: float) -> bool:
        return _metric(port, _LOOKS) >= times

    await _until(partial(_is_ready, port))
    await _until(partial(looked, pipelines))
    process = next(one for one in psutil.process_iter() if f"--listen=127.0.0.1:{port}" in _command_of(one))
    looks, cpu = _metric(port, _LOOKS), process.cpu_times()
    await _until(partial(looked, looks + pipelines), _SELDOM_S)
    now = process.cpu_times()
    spent, count = now.user + now.system - cpu.user - cpu.system, _metric(port, _LOOKS) - looks
    writes = [write for write in audit.writes(mark) if write.agent == "omnipipe-operator"]
    return _Settled(process.memory_info().rss / 1e6, len(writes), 1000 * spent / count)


async def _quiet(audit: Audit) -> None:
    """Until nobody has written anything for a while: the controllers have made the pods."""
    mark = -1
    while mark != audit.mark():
        mark = audit.mark()
        await asyncio.sleep(_QUIET_S)


@asynccontextmanager
async def _client(plane: ControlPlane) -> AsyncIterator[KubeCluster]:
    async with KubeCluster(await find_access(plane.kubeconfig, None), RateLimit(0, 0)) as cluster:
        yield cluster


async def _create(cluster: Cluster, count: int) -> dict[str, str]:
    """Name -> uid."""
    made: dict[str, str] = {}
    waiting = iter(range(count))

    async def create() -> None:
        for number in waiting:
            head = {"name": f"bench-{number:04}", "namespace": "default"}
            value = {"apiVersion": PIPELINE.api_version, "kind": PIPELINE.name, "metadata": head, "spec": _SPEC}
            made[head["name"]] = (await cluster.create(PIPELINE, value))["metadata"]["uid"]

    await asyncio.gather(*(create() for _ in range(_WORKERS)))
    return made


async def _made(port: int, count: int) -> bool:
    """As the operator counts; cheap to ask. `_stand` asks the server."""
    return _metric(port, "omnipipe_operator_writes_total", 'verb="create"') >= count


async def _stand(cluster: Cluster, wanted: Mapping[Kind, int]) -> bool:
    for kind, count in wanted.items():
        if sum([len(page.items) async for page in cluster.pages(kind, "default", OURS)]) < count:
            return False
    return True


async def _is_ready(port: int) -> bool:
    try:
        _get(port, "/readyz")
    except OSError:
        return False
    return True


def _get(port: int, path: str) -> str:
    with urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as response:
        text: str = response.read().decode()
    return text


def _metric(port: int, name: str, label: str = "") -> float:
    """Summed over its labels."""
    lines = _get(port, "/metrics").splitlines()
    own = [line for line in lines if line.split("{")[0].split(" ")[0] == name and label in line]
    return sum(float(line.rpartition(" ")[2]) for line in own)


def _command_of(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


async def _until(look: Callable[[], Awaitable[bool]], every_s: float = _POLL_S) -> None:
    end = time.monotonic() + _DEADLINE_S
    while not await look():
        if time.monotonic() > end:
            raise RuntimeError(f"not within {_DEADLINE_S:.0f} s")
        await asyncio.sleep(every_s)


@contextmanager
def _operator(plane: ControlPlane) -> Iterator[int]:
    port = free_port()
    command = [
        sys.executable, "-m", "omnipipe_operator", f"--kubeconfig={plane.kubeconfig}", f"--listen=127.0.0.1:{port}",
        f"--resync-s={_RESYNC_S}", "--no-leader-election", "--log-format=text", "--log-level=error",
        "--gateway-image=example.org/gateway:1", "--stage-image=example.org/stage:1",
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": f"{_ROOT / 'operator'}{os.pathsep}{_ROOT / 'runtime'}"}
    with subprocess.Popen(command, env=environment) as process:
        try:
            yield port
        finally:
            process.kill()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pipelines", type=int, default=_REFERENCE_COUNT)
    for row in rows(parser.parse_args().pipelines):
        print(row)
