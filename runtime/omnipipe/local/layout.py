"""Who is called what in a run: process names, sockets and command lines. Pure but for the folder it names paths in."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from omnipipe.local.child import ChildKind, ChildSpec
from omnipipe.local.folder import RunFolder
from omnipipe.local.launch import Launcher
from omnipipe.spec.plan import Placement, Plan, PlanStage

__all__ = ["Layout", "addresses"]


def addresses(folder: RunFolder, index: int, of: int) -> Callable[[str, int], str]:
    """Where the replicas of pipeline `index` of `of` listen."""

    def address(stage: str, replica: int) -> str:
        return f"ipc://{folder.socket(_socket_name(index, of, stage, replica))}"

    return address


def _socket_name(index: int, of: int, stage: str, replica: int) -> str:
    """Short: a socket's path has about a hundred bytes."""
    return f"{stage}-{replica}" if of == 1 else f"{index}.{stage}-{replica}"


@dataclass(frozen=True, slots=True)
class Layout:
    folder: RunFolder
    plans: Sequence[Plan]
    process_args: tuple[str, ...]
    """What every child is told."""
    gateway_args: tuple[str, ...]
    listen_fd: int
    """Of the socket that the gateway inherits."""
    launcher: Launcher
    cores: int
    """To compute with. Each stage that computes gets its share: with a thread for each core in all of them, they would
    spend most of their time waiting for each other."""

    def children(self) -> list[ChildSpec]:
        """The gateway, which takes longest to start, then all stages of all plans. Writes the plan files."""
        for index, plan in enumerate(self.plans):
            self.folder.write(_plan_name(index), plan.to_json())
        return [self.gateway(), *self._stages()]

    def gateway(self, without: Collection[str] = ()) -> ChildSpec:
        """The gateway for all pipelines but those, at least one."""
        left = [(index, plan) for index, plan in enumerate(self.plans) if plan.pipeline not in without]
        paths = [str(self._plan_path(index)) for index, _ in left]
        admins = [self._admin(index, stage, replica) for index, plan in left for stage, replica in _replicas(plan)]
        words = ("gateway", "--plan", *paths, "--stage-admin", *admins, *self._common, *self.gateway_args)
        return ChildSpec("gateway", ChildKind.GATEWAY, words, self.launcher, {"--listen-fd": self.listen_fd})

    def _stages(self) -> Iterator[ChildSpec]:
        computing = sum(len(stage.addresses) for plan in self.plans for stage in plan.stages if _computes(stage))
        threads = ("--threads", str(max(1, self.cores // max(1, computing))))
        for index, plan in enumerate(self.plans):
            for stage, replica in _replicas(plan):
                which = ("--plan", str(self._plan_path(index)), "--stage", stage, "--replica", str(replica))
                words = ("stage", *which, *self._common, "--admin", self._admin(index, stage, replica), *threads)
                name = f"{stage}-{replica}" if len(self.plans) == 1 else f"{plan.pipeline}/{stage}-{replica}"
                yield ChildSpec(name, ChildKind.STAGE, words, self.launcher, pipeline=plan.pipeline)

    @property
    def _common(self) -> tuple[str, ...]:
        return (*self.process_args, "--run-dir", str(self.folder.path))

    def _plan_path(self, index: int) -> Path:
        return self.folder.document(_plan_name(index))

    def _admin(self, index: int, stage: str, replica: int) -> str:
        return f"unix:{self.folder.socket(f'{_socket_name(index, len(self.plans), stage, replica)}.admin')}"


def _computes(stage: PlanStage) -> bool:
    """Inline engines take microseconds, on one thread."""
    return stage.engine.placement is not Placement.INLINE


def _plan_name(index: int) -> str:
    return f"plan-{index}"


def _replicas(plan: Plan) -> Iterator[tuple[str, int]]:
    return ((stage.name, replica) for stage in plan.stages for replica in range(len(stage.addresses)))
