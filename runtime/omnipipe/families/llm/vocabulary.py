"""A tokenizer as the llm stage needs it: which tokens clients see, what bytes a token stands for, which texts are one
token to grammars. The one module beside `rendering` that knows tokenizers."""

import json
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from omnipipe.engines.autoregressive.program import Choice, TokenLogprobs
from omnipipe.families.llm.tools.schema import quoted
from omnipipe.families.text_pieces import LogprobPiece, TopPiece

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["Vocabulary"]


class Vocabulary:
    """`marks`: special tokens that mean something to us, and are to be seen where they may come."""

    def __init__(self, tokenizer: "PreTrainedTokenizerBase", marks: Iterable[str] = ()) -> None:
        self._tokenizer = tokenizer
        added = tokenizer.added_tokens_decoder
        self._added = {token: info.content for token, info in added.items()}
        self._special = {token for token, info in added.items() if info.special}
        self._alone = {
            info.content: token
            for token, info in added.items()
            if info.special or (info.content.startswith("<") and info.content.endswith(">"))
        }
        """What llguidance takes for one token that no text can spell."""
        self._hidden = self._special - {self._alone[mark] for mark in marks if mark in self._alone}

    def __len__(self) -> int:
        return len(self._tokenizer)

    def encode(self, text: str, *, special: bool) -> list[int]:
        """`special`: with what the tokenizer puts around a text, a beginning-of-text token mostly."""
        tokens: list[int] = self._tokenizer(text, add_special_tokens=special).input_ids
        return tokens

    def decode(self, tokens: list[int]) -> str:
        """As `skip_special_tokens`."""
        return self._joined([token for token in tokens if token not in self._special])

    def decode_marked(self, tokens: list[int]) -> str:
        """The same, with the marks."""
        return self._joined([token for token in tokens if token not in self._hidden])

    def decode_all(self, tokens: list[int]) -> str:
        return self._joined(tokens)

    def special(self, text: str) -> int | None:
        """The token that stands for this mark alone."""
        return self._alone.get(text)

    def literal(self, text: str) -> str:
        """`tools.dialect.Literal`."""
        token = self._alone.get(text)
        return quoted(text) if token is None else f"<[{token}]>"

    def logprobs(self, found: Sequence[TokenLogprobs], *, plain: bool = False) -> list[LogprobPiece]:
        """`plain`: of a text that `decode` makes."""
        pieces = [self._likely(one.chosen, one.top) for one in found]
        for piece in pieces if plain else ():
            if piece["id"] in self._special:
                piece["unseen"] = True
        return pieces

    def first(self, token: int) -> LogprobPiece:
        """Of a prompt."""
        piece = self._likely(Choice(token, 0.0))
        piece["first"] = True
        return piece

    def token_text(self, token: int) -> str:
        return self._bytes(token).decode(errors="replace")

    def _likely(self, chosen: Choice, top: Sequence[Choice] = ()) -> LogprobPiece:
        told = self._choice(chosen)
        return {
            "token": told["token"],
            "bytes": told["bytes"],
            "logprob": told["logprob"],
            "id": told["id"],
            "top": [self._choice(other) for other in top],
        }

    def _choice(self, choice: Choice) -> TopPiece:
        content = self._bytes(choice.token)
        return {
            "token": content.decode(errors="replace"),
            "bytes": list(content),
            # -inf is no number in JSON; no token of a model is this unlikely.
            "logprob": max(choice.logprob, -9999.0),
            "id": choice.token,
        }

    def _joined(self, tokens: list[int]) -> str:
        text: str = self._tokenizer.decode(tokens, skip_special_tokens=False)  # type: ignore[assignment]
        return text

    def _bytes(self, token: int) -> bytes:
        """A character may be spread over several tokens: their bytes add up to it."""
        if token in self._added:
            return self._added[token].encode()
        piece = self._tokenizer.convert_ids_to_tokens(token)
        if not isinstance(piece, str):
            return b""
        if self._byte_level:
            return bytes(_BYTES[char] for char in piece) if all(char in _BYTES for char in piece) else piece.encode()
        if len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">"):
            return bytes([int(piece[3:5], 16)])
        return piece.replace("\N{LOWER ONE EIGHTH BLOCK}", " ").encode()

    @cached_property
    def _byte_level(self) -> bool:
        """Its tokens are spelled in a character for each byte, as GPT-2's are."""
        backend = getattr(self._tokenizer, "backend_tokenizer", None)
        return backend is not None and '"ByteLevel"' in json.dumps(json.loads(backend.to_str())["decoder"])


def _byte_alphabet() -> dict[str, int]:
    """GPT-2's: printable bytes are themselves, the others are counted up from 256."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + at): byte for at, byte in enumerate(others)}


_BYTES = _byte_alphabet()
