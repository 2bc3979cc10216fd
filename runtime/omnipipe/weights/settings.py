"""Where models are looked for. The token and the cache's place are the hub library's own variables (HF_TOKEN,
HF_TOKEN_PATH, HF_HOME), which it reads itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

__all__ = ["WeightsSettings"]

_TRUE = frozenset(("1", "on", "yes", "true"))


@dataclass(frozen=True, slots=True)
class WeightsSettings:
    models_dir: Path | None = None
    """OMNIPIPE_MODELS: what `omnipipe fetch --into` filled; looked into before anything else, never written here."""
    offline: bool = False
    """HF_HUB_OFFLINE: ask no hub, use what is on disk."""
    endpoint: str | None = None
    """HF_ENDPOINT: another hub than the public one."""

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        models = environ.get("OMNIPIPE_MODELS", "")
        return cls(
            models_dir=Path(models) if models else None,
            offline=environ.get("HF_HUB_OFFLINE", "").lower() in _TRUE,
            endpoint=environ.get("HF_ENDPOINT") or None,
        )
