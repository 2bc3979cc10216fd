"""Grammars: which tokens may come next. llguidance does the work.

Most masks take some ten microseconds, less than it takes to have another thread do it: they are computed when they are
needed. Those of a request whose last one took long are computed beside the model's forward, for llguidance lets go of
the GIL.

A matcher is built in a thread when its request begins (a large schema takes long) and asked first when the request
samples its first token, which is after its prompt has been computed. It is kept: requests of one grammar have copies.
"""

import json
import re
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

import torch
from llguidance import LLMatcher, LLTokenizer
from llguidance.hf import from_tokenizer
from transformers import PreTrainedTokenizerFast

from omnipipe.engines.autoregressive.masks import words_for
from omnipipe.engines.autoregressive.program import Grammar
from omnipipe.errors import ErrorKind, RequestError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["Grammars", "Match"]

_CHARACTER: Final = r'[^"\\\x00-\x1F\x7F]'
_SLICES: Final = [
    r"[\x20\x0A\x0D\x09]+",
    *(f"{_CHARACTER}{{1,{most}}}" for most in (3, 5, 7, 10, 30)),
    f"{_CHARACTER}+",
]
"""Tokens that a grammar mostly allows or forbids together, so that they are looked at once: the inside of JSON's texts.
llguidance's own have no short ones, and look at every token where a text may have few more characters."""

_TOO_COMPLEX: Final = re.compile(r"^\s*Stop: \w+TooComplex$", re.MULTILINE)
"""In what llguidance says of a grammar that it gave up on; of a token that does not fit it says something else."""

_KEPT: Final = 32
"""Grammars whose matcher is kept; building one takes as long as a hundred masks."""
_LONGEST_KEPT: Final = 1 << 16

_SLOW_NS: Final = 300_000
"""What a mask may take before the next one is computed beside the model. To have a thread do it takes about a third of
that from this one, and more from the model, whose threads it is in the way of."""


class Match:
    """Where one request is in its grammar. `built`: a matcher at the beginning, which others use as well."""

    def __init__(self, built: "Future[LLMatcher]", param: str) -> None:
        self._built = built
        self._own: LLMatcher | None = None
        self._param = param
        self._ahead: Future[torch.Tensor] | None = None
        self._slow = True  # the first waits for the matcher

    def expect(self) -> "Future[torch.Tensor] | None":
        """What the mask of the next token is to be put into, by a thread; None: it is there, or on its way, or needs
        none."""
        if self._ahead is not None or not self._slow:
            return None
        self._ahead = Future()
        return self._ahead

    def fill(self, words: torch.Tensor) -> None:
        """Puts what may come next into the words, a bit for each token. Raises RequestError when the grammar makes no
        sense or is too large."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            words.copy_(ahead.result())
            return
        self.compute(words)

    def take(self, token: int) -> None:
        """The token that was chosen."""
        matcher = self._matcher()
        if matcher.consume_token(token):
            return
        if _TOO_COMPLEX.search(matcher.get_error()):
            raise self._unusable(matcher)
        raise RuntimeError(f"the grammar does not allow the token {token}: {matcher.get_error()}")

    def forced(self) -> list[int]:
        """The next tokens, where the grammar leaves one text: as the tokenizer writes it, for masks leave no other way.
        None while another thread has the matcher."""
        if self._own is None or self._slow or self._ahead is not None:
            return []
        return list(self._own.compute_ff_tokens())

    def back(self, tokens: int) -> None:
        """So many tokens were not taken after all."""
        if tokens and not self._matcher().rollback(tokens):
            raise RuntimeError(f"the grammar does not go back: {self._matcher().get_error()}")

    def complete(self) -> bool:
        """Nothing can follow."""
        return self._matcher().is_stopped()

    def compute(self, words: torch.Tensor) -> None:
        """The mask itself, wherever it is wanted."""
        matcher = self._matcher()
        if matcher.is_error():
            raise self._unusable(matcher)
        started = time.thread_time_ns()
        matcher.unsafe_compute_mask_ptr(words.data_ptr(), words.numel() * words.element_size())
        self._slow = time.thread_time_ns() - started > _SLOW_NS
        if matcher.is_stopped() and matcher.stop_reason() == "InternalError":
            # It would end the text where the grammar does not: of a rule that needs itself, for one.
            raise self._refused("no text fits it from here on")

    def _matcher(self) -> LLMatcher:
        if self._own is None:
            built = self._built.result()
            if built.is_error():
                raise self._unusable(built)
            self._own = built.deep_copy()
        return self._own

    def _unusable(self, matcher: LLMatcher) -> RequestError:
        return self._refused(_in_a_line(matcher.get_error()))

    def _refused(self, reason: str) -> RequestError:
        return RequestError(ErrorKind.INVALID, f"the grammar cannot be used: {reason}", param=self._param)


class Grammars:
    """Makes matches for one tokenizer. Owns the threads that compute them."""

    def __init__(
        self, tokenizer: "PreTrainedTokenizerBase | None", vocab_size: int, stop_tokens: Sequence[int] = ()
    ) -> None:
        """`vocab_size`: columns of the logits. `stop_tokens`: what may follow a complete text."""
        self.tokens = vocab_size
        """Bits of a mask."""
        self._pool = ThreadPoolExecutor(2, "grammar")
        self._tokenizer: Future[LLTokenizer] | None = None
        self._kept: OrderedDict[str, Future[LLMatcher]] = OrderedDict()
        """By the grammar's text; the longest unused first."""
        if isinstance(tokenizer, PreTrainedTokenizerFast):
            known = self.tokens = max(vocab_size, len(tokenizer))
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
        """Begins to compute the masks of their next tokens, where that takes long."""
        asked = [(match, mask) for match in matches if (mask := match.expect()) is not None]
        if asked:
            self._pool.submit(_compute, asked, words_for(self.tokens))

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    @staticmethod
    def _build(tokenizer: "Future[LLTokenizer]", text: str) -> LLMatcher:
        return LLMatcher(tokenizer.result(), text, log_level=0)


def _compute(asked: Sequence[tuple[Match, "Future[torch.Tensor]"]], words: int) -> None:
    for match, mask in asked:
        try:
            found = torch.empty(words, dtype=torch.int32)
            match.compute(found)
            mask.set_result(found)
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
            ErrorKind.INVALID, f"the grammar cannot be used: {_in_a_line(str(error))}", param=grammar.param
        ) from error


def _in_a_line(text: str) -> str:
    """Its first line says what could not be read, one of those after a drawing of it may say why."""
    what, *more = text.strip().splitlines() or ["it is empty"]
    why = next((line.strip() for line in more if line.strip().startswith("error: ")), "").removeprefix("error: ")
    return (f"{what} {why}" if why else what)[:300]
