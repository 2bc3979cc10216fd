"""The embed stage: tokens of many texts, of all requests of a step, through the model in passes of like lengths."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from omnipipe.engines.loading import load_model, load_tokenizer
from omnipipe.engines.program import Emit, Job, Outcome, StageContext
from omnipipe.errors import ErrorKind, RequestError
from omnipipe.families.embed.pooling import Pooling
from omnipipe.families.overlong import surely_longer
from omnipipe.families.text_pieces import EMBEDDING_OUTPUT
from omnipipe.weights import resolve
from omnipipe.wire.value import Tensor, Value

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["Embed"]

_log = logging.getLogger(__name__)

_CHARACTERS_PER_TOKEN = 4
"""Of ordinary text: an estimate for filling a step, before anything is tokenized."""
_POSITIONS = 512
"""Of models that do not say."""
_WINDOW = 64
"""Texts of one request in a step: others have their turn in between, and a slow consumer pauses it."""


@dataclass(slots=True)
class _Texts:
    """Where a request is."""

    tokens: list[list[int]]
    dimensions: int
    at: int = 0
    """Those before have been given."""


class Embed:
    """A `BatchProgram`."""

    def __init__(self, context: StageContext) -> None:
        from omnipipe.families.embed.encoder import Encoder  # brings transformers, which takes a while

        params = context.params
        folder = resolve(context.source or "")
        trust: bool = params["trust_remote_code"]
        loaded = load_model(folder, dtype=params["dtype"], trust_remote_code=trust, cls=Encoder)
        self._model = loaded.module
        self._device = loaded.device
        self._pooling = Pooling.of(folder, str(params["pooling"]), loaded.config.hidden_size, loaded.device)
        self._tokenizer = load_tokenizer(folder, trust_remote_code=trust)
        self._pad = self._tokenizer.pad_token_id
        self._step_tokens = int(params["step_tokens"])
        self._longest = _longest(folder, loaded.module)
        self._size = self._pooling.size
        self._vocab_size: int = loaded.config.vocab_size
        _log.info(
            "stage %s: %d dimensions, texts of up to %d tokens, %s",
            context.stage, self._size, self._longest, self._pooling.summary,
        )  # fmt: skip

    def cost(self, job: Job) -> int:
        inputs = job.inputs["request"]["inputs"]
        return sum(len(text) // _CHARACTERS_PER_TOKEN + 1 if isinstance(text, str) else len(text) for text in inputs)

    def run(self, batch: Sequence[Job]) -> Sequence[Outcome | Exception]:
        outcomes: dict[str, Outcome | Exception] = {}
        open_jobs: list[tuple[Job, _Texts]] = []
        for job in batch:
            try:
                texts = job.state if isinstance(job.state, _Texts) else self._begin(job.inputs["request"])
                open_jobs.append((job, texts))
            except RequestError as error:
                outcomes[job.rid] = error
        chosen = [
            (texts.tokens[at], texts.dimensions)
            for _, texts in open_jobs
            for at in range(texts.at, min(texts.at + _WINDOW, len(texts.tokens)))
        ]
        vectors = iter(self._vectors(chosen))
        for job, texts in open_jobs:
            outcomes[job.rid] = self._give(job, texts, [next(vectors) for _ in texts.tokens[texts.at :][:_WINDOW]])
        return [outcomes[job.rid] for job in batch]

    def _begin(self, asked: Value) -> _Texts:
        match asked:
            case {"kind": "embed", "inputs": list(inputs), "dimensions": int() | None as dimensions} if inputs:
                pass
            case _:
                raise RequestError(ErrorKind.INVALID, "the embed family cannot read this request")
        if dimensions is not None and not 1 <= dimensions <= self._size:
            message = f"This model's embeddings have {self._size} dimensions: 'dimensions' is at most {self._size}."
            raise _invalid(message, "dimensions")
        return _Texts([self._tokens(text, index) for index, text in enumerate(inputs)], dimensions or self._size)

    def _tokens(self, text: Value, index: int) -> list[int]:
        if isinstance(text, str):
            if surely_longer(text, self._longest, lambda part: self._tokenizer(part).input_ids):
                raise self._too_long(f"more than {self._longest}", index)
            tokens: list[int] = self._tokenizer(text).input_ids
        else:
            tokens = list(text)
            if tokens and not 0 <= min(tokens) <= max(tokens) < self._vocab_size:
                raise _invalid(f"'input[{index}]' has token ids outside of 0 to {self._vocab_size - 1}.", "input")
        if not tokens:
            raise _invalid(f"'input[{index}]' is empty.", "input")
        if len(tokens) > self._longest:
            raise self._too_long(str(len(tokens)), index)
        return tokens

    def _too_long(self, size: str, index: int) -> RequestError:
        return _invalid(
            f"This model's maximum context length is {self._longest} tokens, however you requested {size} tokens in "
            f"'input[{index}]'. Please reduce your prompt.",
            "input",
            "context_length_exceeded",
        )

    def _give(self, job: Job, texts: _Texts, vectors: list[torch.Tensor]) -> Outcome:
        last = texts.at + len(vectors) == len(texts.tokens)
        emits = [Emit(EMBEDDING_OUTPUT, Tensor.from_numpy(vector.numpy())) for vector in vectors]
        if last:
            counted = sum(map(len, texts.tokens))
            usage = {"prompt_tokens": counted, "completion_tokens": 0}
            meta: dict[str, Value] = {"finish_reason": "stop", "usage": usage}
            emits[-1] = Emit(EMBEDDING_OUTPUT, emits[-1].value, last=True, meta=meta)
        job.state = _Texts(texts.tokens, texts.dimensions, texts.at + len(vectors))
        return Outcome(emits, "done" if last else "again")

    def _vectors(self, chosen: Sequence[tuple[list[int], int]]) -> list[torch.Tensor]:
        """In the order of `chosen`; computed by length, so that little of a pass is padding."""
        order = sorted(range(len(chosen)), key=lambda index: len(chosen[index][0]), reverse=True)
        vectors: dict[int, torch.Tensor] = {}
        while order:
            longest = len(chosen[order[0]][0])
            count = max(1, self._step_tokens // longest)
            part, order = order[:count], order[count:]
            for index, vector in zip(part, self._pass([chosen[index][0] for index in part]), strict=True):
                vectors[index] = _cut(vector, chosen[index][1])
        return [vectors[index] for index in range(len(chosen))]

    def _pass(self, texts: Sequence[list[int]]) -> torch.Tensor:
        lengths = torch.tensor([len(tokens) for tokens in texts])
        ids = torch.full((len(texts), int(lengths.max())), self._pad or 0)
        for row, tokens in enumerate(texts):
            ids[row, : len(tokens)] = torch.tensor(tokens)
        mask = (torch.arange(ids.shape[1])[None] < lengths[:, None]).long()
        extra: dict[str, Any] = {"use_cache": False} if getattr(self._model.config, "use_cache", False) else {}
        with torch.inference_mode():
            states = self._model(
                input_ids=ids.to(self._device), attention_mask=mask.to(self._device), **extra
            ).last_hidden_state
            return self._pooling.vectors(states, lengths.to(self._device)).cpu()


def _cut(vector: torch.Tensor, dimensions: int) -> torch.Tensor:
    """Matryoshka: the first dimensions are a vector by themselves, of length 1 again."""
    if dimensions == len(vector):
        return vector
    return torch.nn.functional.normalize(vector[:dimensions], dim=-1)


def _longest(folder: Path, model: "PreTrainedModel") -> int:
    """What the model was made for: sentence-transformers' own limit, within that of the model's positions."""
    positions = int(getattr(model.config, "max_position_embeddings", 0) or _POSITIONS)
    table = getattr(getattr(model, "embeddings", None), "position_embeddings", None)
    before = getattr(table, "padding_idx", None)
    if before is not None:
        positions -= before + 1  # RoBERTa and its kin count from behind the padding's id
    path = folder / "sentence_bert_config.json"
    if not path.is_file():
        return positions
    return min(positions, int(json.loads(path.read_text()).get("max_seq_length") or positions))


def _invalid(message: str, param: str, code: str = "invalid_value") -> RequestError:
    return RequestError(ErrorKind.INVALID, message, param=param, code=code)
