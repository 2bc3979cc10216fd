"""A draft model: a small one that guesses what the large one will say.

Guesses can be checked only where both write in the same tokens; that is made sure of when they are loaded.
"""

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from transformers import PreTrainedModel

from omnipipe.engines.autoregressive.errors import EngineError
from omnipipe.engines.errors import LoadingError
from omnipipe.engines.loading import load_model, load_tokenizer
from omnipipe.spec.plan import DraftPlan, Dtype
from omnipipe.weights import resolve

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["Draft", "check_vocabulary", "fitted", "load_draft"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Draft:
    model: PreTrainedModel
    tokenizer: "PreTrainedTokenizerBase | None"
    tokens: int
    """Guessed at once, at most."""


def load_draft(plan: DraftPlan, dtype: Dtype) -> Draft:
    """Raises WeightsError, LoadingError, in one line."""
    folder = resolve(plan.source)
    try:
        loaded = load_model(folder, dtype=dtype)
        tokenizer = load_tokenizer(folder)
    except LoadingError as error:
        raise LoadingError(f"the draft model: {error}") from error
    return Draft(loaded.module, tokenizer, plan.tokens)


def check_vocabulary(
    draft: Draft, columns: int, model: PreTrainedModel, tokenizer: "PreTrainedTokenizerBase | None", model_columns: int
) -> None:
    """Raises EngineError unless a token id means the same to both. (How many columns their logits are padded to may
    differ.)"""
    if draft.model.device != model.device or draft.model.dtype != model.dtype:
        raise EngineError(
            f"the draft model is {draft.model.dtype} on {draft.model.device}, the model {model.dtype} on {model.device}"
        )
    if tokenizer is None or draft.tokenizer is None:
        if columns != model_columns:
            raise EngineError(f"the draft model has {columns} tokens, the model {model_columns}: they must be the same")
        return
    mine, its = tokenizer.get_vocab(), draft.tokenizer.get_vocab()
    if mine == its:
        return
    token = min((token for token in mine.keys() | its.keys() if mine.get(token) != its.get(token)), key=str)
    raise EngineError(
        f"the draft model has another vocabulary than the model: {token!r} is "
        f"{its.get(token, 'no token')} there and {mine.get(token, 'no token')} here"
    )


def fitted(logits: torch.Tensor, columns: int) -> torch.Tensor:
    """The draft's logits in the columns of the model's."""
    missing = columns - logits.shape[1]
    if missing > 0:
        return torch.nn.functional.pad(logits, (0, missing), value=float("-inf"))
    return logits[:, :columns].contiguous() if missing else logits
