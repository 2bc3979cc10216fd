"""What a model is to the engine: how large its KV is, and whether it can be computed rightly at all.

The shapes are not read from configurations, which every architecture words differently: two positions are run through
the model and its attention layers tell. What would come out wrong is refused here, by name, before the first request.
"""

from dataclasses import dataclass

import torch
from transformers import PreTrainedModel

from omnipipe.engines.autoregressive.attention import ATTENTION, STEP, register
from omnipipe.engines.autoregressive.errors import UnsupportedModel

__all__ = ["Architecture", "LayerShape", "examine"]

_KNOWN_LAYERS = frozenset({"full_attention", "sliding_attention"})
_GROWING_ROPE = frozenset({"dynamic", "longrope"})
"""Their frequencies change with the longest sequence in the batch, beyond the length that they were trained with."""


@dataclass(frozen=True, slots=True)
class LayerShape:
    kv_heads: int
    key_dim: int
    value_dim: int


@dataclass(frozen=True, slots=True)
class Architecture:
    layers: tuple[LayerShape, ...]
    context: int
    """Positions that the model can tell apart."""
    hidden_size: int
    vocab_size: int
    """Columns of its logits."""
    mrope: bool = False
    """Its positions have three dimensions."""
    sinks: bool = False
    """Its attention has sinks: see `attention.AttentionStep`."""

    def position_bytes(self, item_bytes: int) -> int:
        """KV of one position."""
        return sum(shape.kv_heads * (shape.key_dim + shape.value_dim) for shape in self.layers) * item_bytes


class _Probe:
    """An `AttentionStep` of two positions that notes who calls."""

    def __init__(self) -> None:
        self.seen: dict[int, LayerShape] = {}
        self.calls = 0
        self.sinks = False

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
        self.calls += 1
        self.sinks |= sinks is not None
        self.seen[layer] = LayerShape(key.shape[1], key.shape[3], value.shape[3])
        groups = query.shape[1] // key.shape[1]
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
        out = torch.nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True, scale=scale)
        return out.transpose(1, 2)


def examine(model: PreTrainedModel) -> Architecture:
    """Switches the model to paged attention, and what training has of it off. Raises UnsupportedModel."""
    name = type(model).__name__
    config = model.config.get_text_config(decoder=True)
    _refuse_by_config(name, model, config)
    for one in (model.config, config):
        if getattr(one, "output_router_logits", False):  # for a loss that nobody computes here
            one.output_router_logits = False
    register()
    probe = _Probe()
    try:
        model.set_attn_implementation(ATTENTION)
        with torch.inference_mode():
            ids = torch.zeros((1, 2), dtype=torch.long, device=model.device)
            positions = torch.arange(2, device=model.device)[None]
            rows = torch.tensor([1], device=model.device)
            logits = model(
                input_ids=ids, position_ids=positions, use_cache=False, logits_to_keep=rows, **{STEP: probe}
            ).logits
    except Exception as error:  # the boundary to the model's code: whatever it does not take, it cannot be served
        raise UnsupportedModel(f"{name} cannot run here: {error}") from error
    layers = config.num_hidden_layers
    if sorted(probe.seen) != list(range(layers)) or probe.calls != layers:
        raise UnsupportedModel(
            f"{name} cannot run here: of its {layers} layers {len(probe.seen)} use attention that can be paged"
        )
    if logits.shape[:2] != (1, 1):
        raise UnsupportedModel(f"{name} cannot run here: it computes logits of positions that nobody asked for")
    return Architecture(
        layers=tuple(probe.seen[layer] for layer in range(layers)),
        context=_context(config),
        hidden_size=config.hidden_size,
        vocab_size=logits.shape[-1],
        mrope="mrope_section" in (getattr(config, "rope_parameters", None) or {}),
        sinks=probe.sinks,
    )


def _refuse_by_config(name: str, model: PreTrainedModel, config: object) -> None:
    if getattr(model.config, "is_encoder_decoder", False):
        raise UnsupportedModel(f"{name} cannot run here: it has an encoder")
    kinds = set(getattr(config, "layer_types", None) or ()) - _KNOWN_LAYERS
    if kinds:
        raise UnsupportedModel(f"{name} cannot run here: it has {', '.join(sorted(kinds))} layers")
    if getattr(config, "num_kv_shared_layers", 0):
        raise UnsupportedModel(f"{name} cannot run here: some of its layers share KV")
    if getattr(config, "use_bidirectional_attention", None):
        raise UnsupportedModel(f"{name} cannot run here: its attention is not causal")
    if getattr(config, "alibi", False):
        raise UnsupportedModel(f"{name} cannot run here: its attention has a position bias")


def _context(config: object) -> int:
    positions = getattr(config, "max_position_embeddings", None) or 1 << 20
    ropes = getattr(config, "rope_parameters", None) or {}
    for rope in ropes.values() if ropes and all(isinstance(rope, dict) for rope in ropes.values()) else [ropes]:
        if rope.get("rope_type") in _GROWING_ROPE:
            trained = rope.get("original_max_position_embeddings") or getattr(
                config, "original_max_position_embeddings", None
            )
            positions = min(positions, trained or positions)
    return int(positions)
