"""Grammars: which tokens may come next. llguidance does the work; it lets go of the GIL, so that masks are computed
beside the model's forward.

A matcher is built in a thread when its request begins (a large schema takes long) and asked first when the request
samples its first token, which is after its prompt has been computed. It is kept: requests of one grammar have copies.
"""

import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from llguidance import LLMatcher, LLTokenizer
from llguidance.hf import from_tokenizer
from transformers import PreTrainedTokenizerFast

from omnipipe.engines.autoregressive.program import Grammar
from omnipipe.errors import ErrorKind, RequestError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["Grammars", "Match"]

_SPREAD: Final = np.where(
    np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little"), np.float32(0), np.float32("-inf")
)
"""Byte -> what eight tokens are to have added to their logits. Filling in where a mask is set takes several times as
long as adding, which the sampler has to do while everybody waits."""


_CHARACTER: Final = r'[^"\\\x00-\x1F\x7F]'
_SLICES: Final = [
    r"[\x20\x0A\x0D\x09]+",
    *(f"{_CHARACTER}{{1,{most}}}" for most in (3, 5, 7, 10, 30)),
    f"{_CHARACTER}+",
]
"""Tokens that a grammar mostly allows or forbids together, so that they are looked at once: the inside of JSON's texts.
llguidance's own have no short ones, and look at every token where a text may have few more characters."""

_KEPT: Final = 32
"""Grammars whose matcher is kept; building one takes as long as a hundred masks."""
_LONGEST_KEPT: Final = 1 << 16


class Match:
    """Where one request is in its grammar. `built`: a matcher at the beginning, which others use as well."""

    def __init__(self, built: "Future[LLMatcher]", param: str) -> None:
        self._built = built
        self._own: LLMatcher | None = None
        self._param = param
        self._mask: Future[torch.Tensor] | None = None

    def expect(self) -> "Future[torch.Tensor] | None":
        """What the mask of the next token is to be put into; None: it is there, or on its way."""
        if self._mask is not None:
            return None
        self._mask = Future()
        return self._mask

    def mask(self) -> torch.Tensor:
        """`[vocabulary]`: 0 where allowed, else -inf. Raises RequestError when the grammar makes no sense or is too
        large."""
        assert self._mask is not None
        mask, self._mask = self._mask, None
        return mask.result()

    def take(self, token: int) -> None:
        """The token that was chosen."""
        matcher = self._matcher()
        if not matcher.consume_token(token):
            raise RuntimeError(f"the grammar does not allow the token {token}: {matcher.get_error()}")

    def complete(self) -> bool:
        """Nothing can follow."""
        return self._matcher().is_stopped()

    def compute(self, columns: int) -> torch.Tensor:
        """The mask itself. In a thread of its own: it takes as long as a small model's layer."""
        matcher = self._matcher()
        if matcher.is_error():
            raise self._unusable(matcher)
        bits = np.frombuffer(matcher.compute_bitmask(), dtype=np.uint8)
        return torch.from_numpy(_SPREAD.take(bits, axis=0).reshape(-1)[:columns])

    def _matcher(self) -> LLMatcher:
        if self._own is None:
            built = self._built.result()
            if built.is_error():
                raise self._unusable(built)
            self._own = built.deep_copy()
        return self._own

    def _unusable(self, matcher: LLMatcher) -> RequestError:
        words = f"the grammar cannot be used: {_first_line(matcher.get_error())}"
        return RequestError(ErrorKind.INVALID, words, param=self._param)


class Grammars:
    """Makes matches for one tokenizer. Owns the threads that compute them."""

    def __init__(
        self, tokenizer: "PreTrainedTokenizerBase | None", vocab_size: int, stop_tokens: Sequence[int] = ()
    ) -> None:
        """`vocab_size`: columns of the logits. `stop_tokens`: what may follow a complete text."""
        self._columns = vocab_size
        self._pool = ThreadPoolExecutor(2, "grammar")
        self._tokenizer: Future[LLTokenizer] | None = None
        self._kept: OrderedDict[str, Future[LLMatcher]] = OrderedDict()
        """By the grammar's text; the longest unused first."""
        if isinstance(tokenizer, PreTrainedTokenizerFast):
            known = max(vocab_size, len(tokenizer))
            self._tokenizer = self._pool.submit(
                from_tokenizer, tokenizer, n_vocab=known, eos_token=list(stop_tokens) or None, slices=_SLICES
            )

    def match(self, grammar: Grammar) -> Match:
        """Raises RequestError when the grammar does not even parse."""
        if self._tokenizer is None:
            raise RequestError(
                ErrorKind.UNPROCESSABLE, "this model cannot be held to a grammar: it has no fast tokenizer",
                param=grammar.param,
            )  # fmt: skip
        text = _text(grammar)
        built = self._kept.get(text)
        if built is None:
            built = self._pool.submit(self._build, self._tokenizer, text)
        if len(text) <= _LONGEST_KEPT:
            self._kept[text] = built
            self._kept.move_to_end(text)
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return Match(built, grammar.param)

    def prepare(self, matches: Sequence[Match]) -> None:
        """Begins to compute the masks of their next tokens."""
        asked = [(match, mask) for match in matches if (mask := match.expect()) is not None]
        if asked:
            self._pool.submit(_compute, asked, self._columns)

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    @staticmethod
    def _build(tokenizer: "Future[LLTokenizer]", text: str) -> LLMatcher:
        return LLMatcher(tokenizer.result(), text, log_level=0)


def _compute(asked: Sequence[tuple[Match, "Future[torch.Tensor]"]], columns: int) -> None:
    for match, mask in asked:
        try:
            mask.set_result(match.compute(columns))
        except Exception as error:  # the boundary of the thread: whoever asks for the mask gets it
            mask.set_exception(error)


def _text(grammar: Grammar) -> str:
    """In llguidance's own form."""
    source = grammar.source
    try:
        match grammar.kind:
            case "json_object":
                return LLMatcher.grammar_from_json_schema('{"type": "object"}')
            case "json_schema":
                schema = source if isinstance(source, str) else json.dumps(source)
                return LLMatcher.grammar_from_json_schema(schema)
            case "choice":
                if isinstance(source, str | Mapping) or not source:
                    raise ValueError("choices are a list of one text or more")
                return LLMatcher.grammar_from_lark(
                    "start: " + " | ".join(json.dumps(text, ensure_ascii=False) for text in source)
                )
            case "regex":
                return LLMatcher.grammar_from_regex(str(source))
            case "lark":
                return LLMatcher.grammar_from_lark(str(source))
    except ValueError as error:
        raise RequestError(
            ErrorKind.INVALID, f"the grammar cannot be used: {_first_line(str(error))}", param=grammar.param
        ) from error


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0][:200] if text.strip() else "it is empty"
