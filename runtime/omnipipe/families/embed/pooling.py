"""How the states of a text's tokens become one vector: the rule that the model came with.

Models made with sentence-transformers say it in `modules.json` and `1_Pooling/config.json`; others do not, and get the
mean. Must not compute the states.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import torch

from omnipipe.engines.errors import LoadingError
from omnipipe.families.embed.dense import Dense

__all__ = ["Pooling", "Rule"]

Rule = Literal["mean", "cls", "last", "max"]

_MODES: dict[str, Rule] = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_lasttoken": "last",
    "pooling_mode_max_tokens": "max",
    "mean": "mean",
    "cls": "cls",
    "lasttoken": "last",
    "max": "max",
}


@dataclass(frozen=True, slots=True)
class Pooling:
    rule: Rule
    size: int
    """Dimensions of what comes out."""
    then: tuple[Callable[[torch.Tensor], torch.Tensor], ...]
    """What happens to the pooled vectors, in order."""
    summary: str
    """For the log."""

    @classmethod
    def of(cls, folder: Path, asked: str, hidden: int, device: torch.device) -> "Pooling":
        """`asked`: the stage's option, `auto` or a rule. `hidden`: the size of the model's states. Raises LoadingError
        for a rule that cannot be followed."""
        rule, origin = cast(Rule, asked), "the manifest"
        if asked == "auto":
            rule, origin = "mean", "nobody, so it is assumed"
        size, then, words = hidden, list[Callable[[torch.Tensor], torch.Tensor]](), list[str]()
        for kind, path in _modules(folder):
            match kind:
                case "Transformer":
                    continue
                case "Pooling" if asked == "auto":
                    rule, origin = _rule(folder, path), f"{path}/config.json"
                case "Pooling":
                    continue
                case "Dense":
                    dense = Dense(folder / path, device)
                    if dense.takes != size:
                        raise LoadingError(f"{folder.name}: {path} takes {dense.takes} dimensions and gets {size}")
                    size = dense.size
                    then.append(dense)
                    words.append(f", {path} to {size}")
                case "Normalize":
                    then.append(_normalized)
                    words.append(", normalized")
                case _:
                    raise LoadingError(f"{folder.name}: its sentence-transformers module {kind} is not supported")
        return cls(rule, size, tuple(then), f"pooling {rule} (says {origin}){''.join(words)}")

    def vectors(self, states: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """`[n, t, hidden]` padded at the end, and how many of each are tokens, to `[n, hidden]` in f32."""
        states = states.float()
        rows = torch.arange(len(states), device=states.device)
        mask = (torch.arange(states.shape[1], device=states.device)[None] < lengths[:, None])[..., None]
        match self.rule:
            case "cls":
                pooled = states[:, 0]
            case "last":
                pooled = states[rows, lengths - 1]
            case "max":
                pooled = states.masked_fill(~mask, -torch.inf).amax(dim=1)
            case "mean":
                pooled = (states * mask).sum(dim=1) / lengths[:, None]
        for step in self.then:
            pooled = step(pooled)
        return pooled


def _normalized(vectors: torch.Tensor) -> torch.Tensor:
    """To length 1."""
    return torch.nn.functional.normalize(vectors, dim=-1)


def _modules(folder: Path) -> list[tuple[str, str]]:
    """(kind, folder) in order."""
    path = folder / "modules.json"
    if not path.is_file():
        return [("Pooling", "1_Pooling")] if (folder / "1_Pooling" / "config.json").is_file() else []
    return [(str(module["type"]).rpartition(".")[2], str(module["path"])) for module in _read(path)]


def _rule(folder: Path, path: str) -> Rule:
    config = _read(folder / path / "config.json")
    modes = [mode for mode in config if mode.startswith("pooling_mode_") and config[mode] is True]
    if isinstance(config.get("pooling_mode"), str):  # newer releases write it like this
        modes = [str(config["pooling_mode"])]
    if len(modes) != 1 or modes[0] not in _MODES:
        raise LoadingError(f"{folder.name}: its pooling {', '.join(modes) or 'without a mode'} is not supported")
    return _MODES[modes[0]]


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise LoadingError(f"{path.parent.name}/{path.name} cannot be read: {error}") from error
