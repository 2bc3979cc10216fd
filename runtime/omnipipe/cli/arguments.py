"""What each command is told, as frozen data; `parser` makes it out of the command line."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

__all__ = [
    "Arguments",
    "FamiliesArgs",
    "FetchArgs",
    "GatewayArgs",
    "GatewayOptions",
    "GraphArgs",
    "KeysArgs",
    "NurseryArgs",
    "PlanArgs",
    "ProcessOptions",
    "ProfileArgs",
    "ServeArgs",
    "StageArgs",
    "ValidateArgs",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayOptions:
    """What `serve` hands on to its gateway and `gateway` takes itself."""

    host: str
    port: int
    api_keys_file: Path | None
    cors_origins: tuple[str, ...]
    max_body_bytes: int
    grace_s: float
    access_log: bool
    trust_request_id: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessOptions:
    """What every process of a pipeline takes."""

    events_dir: Path | None
    events_of: Literal["all", "asked"]
    log_format: Literal["text", "json"]
    log_level: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeArgs:
    files: tuple[Path, ...]
    run_dir: Path | None
    spawn: bool
    gateway: GatewayOptions
    process: ProcessOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidateArgs:
    paths: tuple[Path, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanArgs:
    file: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphArgs:
    file: Path
    format: Literal["text", "mermaid"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FamiliesArgs:
    """Takes nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchArgs:
    sources: tuple[str, ...]
    into: Path | None
    log_format: Literal["text", "json"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysArgs:
    folder: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileArgs:
    folder: Path
    request: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StageArgs:
    plan: Path
    stage: str
    replica: int
    admin: str
    grace_s: float
    threads: int | None
    curve_dir: Path | None
    run_dir: Path | None
    lifeline_fd: int | None
    process: ProcessOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayArgs:
    plans: tuple[Path, ...]
    listen_fd: int | None
    stage_admin: tuple[str, ...]
    lame_duck_s: float
    curve_dir: Path | None
    run_dir: Path | None
    lifeline_fd: int | None
    gateway: GatewayOptions
    process: ProcessOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class NurseryArgs:
    control_fd: int


Arguments = (
    ServeArgs
    | ValidateArgs
    | PlanArgs
    | GraphArgs
    | ProfileArgs
    | FamiliesArgs
    | FetchArgs
    | KeysArgs
    | StageArgs
    | GatewayArgs
    | NurseryArgs
)
