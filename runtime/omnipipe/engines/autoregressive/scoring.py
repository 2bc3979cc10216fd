"""How likely a prompt's own tokens were: a chunk's logits, reduced to what is told of them before the next chunk comes.

Must not keep logits: a prompt's would be as large as the model.
"""

from collections.abc import Sequence
from typing import Final

import torch

from omnipipe.engines.autoregressive.program import Choice, TokenLogprobs

__all__ = ["rows_at_once", "score"]

_MOST_LOGITS: Final = 1 << 25
"""Numbers in the logits of the prompt positions of one step: 128 MB in f32."""
_LEAST_ROWS: Final = 16


def rows_at_once(vocab_size: int) -> int:
    """Of how many positions the logits may be there at one time."""
    return max(_LEAST_ROWS, _MOST_LOGITS // vocab_size)


def score(logits: torch.Tensor, tokens: Sequence[int], top: int) -> list[TokenLogprobs] | None:
    """`logits`: `[n, vocabulary]`; of each row, how likely it made its token, and the `top` likeliest. None: they are
    not numbers."""
    total = logits.logsumexp(-1, keepdim=True)
    chosen = logits.gather(1, torch.tensor(tokens, device=logits.device)[:, None]) - total
    if bool(chosen.isnan().any()):
        return None
    values, columns = logits.topk(min(top, logits.shape[1]), dim=-1)
    likely: list[float] = chosen[:, 0].tolist()
    best: list[list[float]] = (values - total).tolist()
    return [
        TokenLogprobs(Choice(token, logprob), tuple(map(Choice, ids, row)))
        for token, logprob, ids, row in zip(tokens, likely, columns.tolist(), best, strict=True)
    ]
