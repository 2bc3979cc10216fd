"""Attention over paged KV, as transformers' modules call it.

The model computes one row of positions, `[1, T]`: all that a step holds, of all its sequences one after the other. Its
attention layers call `paged_attention`, which finds the step in the keyword arguments that the model was called with,
writes the new keys and values into their blocks and attends, each position to its own sequence and no further than its
own place. Must not know what a request is.
"""

from typing import Any, Final, Protocol

import torch
from transformers import AttentionInterface

__all__ = ["ATTENTION", "STEP", "AttentionStep", "paged_attention", "register"]

ATTENTION: Final = "omnipipe_paged"
"""`model.set_attn_implementation(ATTENTION)`. No mask function goes with it: masks follow from the step."""

STEP: Final = "omnipipe_step"
"""The keyword that carries the step through the model."""

_UNKNOWN: Final = ("sinks", "position_bias", "block_mask", "head_mask")
"""What some architectures hand to attention, and this one does not compute."""


class AttentionStep(Protocol):
    """What a layer asks of a step."""

    def attend(
        self,
        layer: int,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        *,
        scale: float,
        window: int,
        softcap: float,
        sinks: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """`[1, heads, T, dim]` each, to `[1, T, heads, dim]`. `window`, `softcap`: 0 without. `sinks`: `[heads]`, the
        score of a position that takes part in the softmax and is worth nothing."""


def register() -> None:
    """Makes the name known to transformers; again is harmless."""
    AttentionInterface.register(ATTENTION, paged_attention)


def paged_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    is_causal: bool | None = None,
    **rest: Any,
) -> tuple[torch.Tensor, None]:
    """The signature is transformers'."""
    step: AttentionStep | None = rest.get(STEP)
    if step is None:
        raise TypeError("the architecture does not hand keyword arguments through to its attention")
    if attention_mask is not None:
        raise TypeError("the architecture brings an attention mask of its own")
    if is_causal is False or getattr(module, "is_causal", True) is False:
        raise TypeError("the architecture's attention is not causal")
    for name in _UNKNOWN:
        if rest.get(name) is not None:
            raise TypeError(f"the architecture's attention needs {name!r}")
    layer: int = module.layer_idx  # type: ignore[assignment]  # a module's attributes have no types
    out = step.attend(
        layer,
        query,
        key,
        value,
        scale=query.shape[-1] ** -0.5 if scaling is None else scaling,
        window=sliding_window or 0,
        softcap=softcap or 0.0,
        sinks=rest.get("s_aux"),
    )
    return out, None
