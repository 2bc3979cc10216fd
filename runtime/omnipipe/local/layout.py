"""Who is called what in a run: process names, sockets and command lines. Pure but for the folder it names paths in."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from omnipipe.local.child import ChildKind, ChildSpec
from omnipipe.local.folder import RunFolder
from omnipipe.local.launch import Launcher
from omnipipe.spec.plan import Plan

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

    def children(self) -> list[ChildSpec]:
        """The gateway, which takes longest to start, then all stages of all plans. Writes the plan files."""
        paths = [self.folder.write(f"plan-{index}", plan.to_json()) for index, plan in enumerate(self.plans)]
        common = (*self.process_args, "--run-dir", str(self.folder.path))
        stages: list[ChildSpec] = []
        admins: list[str] = []
        for index, (plan, path) in enumerate(zip(self.plans, paths, strict=True)):
            for stage in plan.stages:
                for replica in range(len(stage.addresses)):
                    socket = _socket_name(index, len(self.plans), stage.name, replica)
                    admin = f"unix:{self.folder.socket(f'{socket}.admin')}"
                    admins.append(admin)
                    stages.append(self._stage(plan, path, stage.name, replica, (*common, "--admin", admin)))
        words = ("gateway", "--plan", *map(str, paths), "--stage-admin", *admins, *common, *self.gateway_args)
        gateway = ChildSpec("gateway", ChildKind.GATEWAY, words, self.launcher, {"--listen-fd": self.listen_fd})
        return [gateway, *stages]

    def _stage(self, plan: Plan, path: Path, stage: str, replica: int, rest: tuple[str, ...]) -> ChildSpec:
        name = f"{stage}-{replica}" if len(self.plans) == 1 else f"{plan.pipeline}/{stage}-{replica}"
        words = ("stage", "--plan", str(path), "--stage", stage, "--replica", str(replica), *rest)
        return ChildSpec(name, ChildKind.STAGE, words, self.launcher)
