"""Messages to the thinker's prompt: rendered by the model's chat template, media in its place.

And what the talker hears of it, when the answer is to be spoken.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from omnipipe.errors import ErrorKind, RequestError
from omnipipe.families.llm.asked import invalid, read_options
from omnipipe.families.llm.rendering import ChatTemplate
from omnipipe.families.qwen3_omni.asked import Chat, Medium, Speech, Verbatim
from omnipipe.families.qwen3_omni.items import Made
from omnipipe.families.qwen3_omni.positions import Block, Plain, Woven, cut, rope_positions
from omnipipe.families.qwen3_omni.values import Item, Prompt, Span, Spoken, TalkerOptions
from omnipipe.wire.value import Tensor

if TYPE_CHECKING:
    import numpy.typing as npt
    from transformers import Qwen3OmniMoeConfig, Qwen3OmniMoeProcessor

    Tokens = npt.NDArray[np.int64]
    Positions = npt.NDArray[np.float32]

__all__ = ["Laid", "Prompter", "placeholders", "talker_options"]

_TALKER_HEADER: Final = 9
"""Positions of the talker's own: three of the assistant's header, four of padding, the beginning, the first text."""
_READ_ALOUD: Final = "Read the text aloud."
"""What the user is taken to have asked for, where a text is to be spoken as it stands."""
_PICTURES: Final = frozenset({"image", "video"})


@dataclass(frozen=True, slots=True)
class _Turns:
    """Tokens that tell turns apart."""

    im_start: int
    user: int
    assistant: int


@dataclass(frozen=True, slots=True)
class Laid:
    """A prompt laid out."""

    tokens: list[int]
    blocks: list[Block]
    items: list[Item]
    spans: list[Span]


class Prompter:
    """`config`: of the whole model."""

    def __init__(
        self, processor: "Qwen3OmniMoeProcessor", config: "Qwen3OmniMoeConfig", template: str | None = None
    ) -> None:
        self._processor: Any = processor
        self._tokenizer = self._processor.tokenizer
        thinker: Any = config.thinker_config
        self._context: int = thinker.text_config.max_position_embeddings
        self._template = ChatTemplate(self._tokenizer, _own(self._processor) if template is None else template)
        self._media = {
            thinker.image_token_id: "image",
            thinker.audio_token_id: "audio",
            thinker.video_token_id: "video",
        }
        self._read(config)

    def _read(self, config: Any) -> None:
        """What else there is to know of the model."""
        self._turns = _Turns(config.im_start_token_id, config.user_token_id, config.assistant_token_id)

    def tokens(self, asked: Chat) -> list[int]:
        """With one token for each medium. Raises RequestError."""
        options = read_options(asked.options)
        text = self._template.render(asked.messages, options.usable_tools, self._template.variables(options))
        tokens: list[int] = self._tokenizer(text)["input_ids"]
        self._check(placeholders(tokens, self._media), asked.media)
        return tokens

    def chat(self, asked: Chat, tokens: Sequence[int], made: Sequence[Made]) -> Prompt:
        """`made`: of `asked.media`, in order. Raises RequestError."""
        laid = self._lay(tokens, made)
        self._check_room(len(laid.tokens))
        prompt = self._prompt(laid)
        prompt["options"] = asked.options
        if asked.speech is not None:
            prompt["speech"] = self._spoken(asked.speech, laid, len(laid.tokens))
        return prompt

    def verbatim(self, asked: Verbatim) -> Prompt:
        """Raises RequestError."""
        message = {"role": "user", "content": asked.instructions or _READ_ALOUD}
        header: list[int] = self._tokenizer(self._template.render([message]))["input_ids"]
        text: list[int] = self._tokenizer(asked.text, split_special_tokens=True)["input_ids"]
        if not text:
            raise invalid("'input' has nothing in it to say.", "input")
        laid = Laid([*header, *text], [Plain(len(header) + len(text))], [], [])
        self._check_room(len(laid.tokens), "input")
        prompt = self._prompt(laid)
        prompt["speech"] = self._spoken(asked.speech, laid, len(header))
        prompt["verbatim"] = True
        return prompt

    def _check(self, found: Sequence[str], media: Sequence[Medium]) -> None:
        brought = [medium.kind for medium in media]
        if list(found) == brought:
            return
        if len(found) > len(brought):
            marks = ", ".join(self._tokenizer.convert_ids_to_tokens(token) for token in self._media)
            raise invalid(
                f"'messages' hold more places for media than media. One of {marks} is among their text: take it out.",
                "messages",
            )
        raise RequestError(
            ErrorKind.UNPROCESSABLE, "The model's chat template has no place for the media here.", param="messages"
        )

    def _lay(self, tokens: Sequence[int], made: Sequence[Made]) -> Laid:
        laid = Laid([], [], [], [])
        left = iter(made)
        plain = 0
        for token in tokens:
            if token not in self._media:
                laid.tokens.append(token)
                plain += 1
                continue
            medium = next(left)
            plain = self._stand(laid.blocks, plain, medium)
            self._place(laid, medium)
        laid.blocks.append(Plain(plain))
        return laid

    def _stand(self, blocks: list[Block], plain: int, medium: Made) -> int:
        """A medium behind so many tokens that are text; how many of those behind it are its own."""
        blocks.extend((Plain(plain + medium.margin), medium.block))
        return medium.margin

    def _positions(self, blocks: Sequence[Block]) -> "Positions":
        return rope_positions(blocks)

    def _prompt(self, laid: Laid) -> Prompt:
        prompt: Prompt = {
            "tokens": Tensor.from_numpy(np.array(laid.tokens, np.int32)),
            "items": laid.items,
            "spans": laid.spans,
            "options": {},
        }
        if any(item["kind"] in _PICTURES for item in laid.items):
            prompt["positions"] = Tensor.from_numpy(self._positions(laid.blocks))
        return prompt

    def _place(self, laid: Laid, medium: Made) -> None:
        start = len(laid.tokens)
        numbers: dict[str, int] = {piece.kind: len(laid.items) + index for index, piece in enumerate(medium.pieces)}
        offsets = dict.fromkeys(numbers, 0)
        for kind, at, size in _runs(medium.tokens, self._media):
            laid.spans.append({"item": numbers[kind], "offset": offsets[kind], "start": start + at, "size": size})
            offsets[kind] += size
        laid.items.extend({"kind": piece.kind, "key": piece.key, "size": piece.size} for piece in medium.pieces)
        laid.tokens.extend(medium.tokens)

    def _spoken(self, speech: Speech, laid: Laid, start: int) -> Spoken:
        """`start`: where the text begins that is to be spoken."""
        tokens = np.array(laid.tokens)
        heard = self._heard(tokens)
        spoken: Spoken = {
            "voice": speech.voice.lower(),
            "rows": Tensor.from_numpy(np.flatnonzero(heard).astype(np.int32)),
            "header": self._header(tokens),
            "options": talker_options(speech),
        }
        blocks = cut(laid.blocks, heard)
        if any(not isinstance(block, Plain) for block in blocks):
            spoken["positions"] = Tensor.from_numpy(rope_positions([*map(_unwoven, blocks), Plain(_TALKER_HEADER)]))
        return spoken

    def _heard(self, tokens: "Tokens") -> "npt.NDArray[np.bool_]":
        """Positions of the user's turns, told apart as `generate` does."""
        at = np.arange(tokens.size)
        starts = np.maximum.accumulate(np.where(tokens == self._turns.im_start, at, -1)).clip(0)
        heard: npt.NDArray[np.bool_] = tokens[np.minimum(starts + 1, tokens.size - 1)] == self._turns.user
        return heard

    def _header(self, tokens: "Tokens") -> int:
        found = np.flatnonzero((tokens[:-1] == self._turns.im_start) & (tokens[1:] == self._turns.assistant))
        if not found.size:
            message = "The model's chat template leaves no turn to the assistant here: there is nothing to speak."
            raise RequestError(ErrorKind.UNPROCESSABLE, message, param="messages")
        return int(found[-1])

    def _check_room(self, size: int, what: str = "messages") -> None:
        """In OpenAI's words, which clients look for."""
        if size < self._context:
            return
        raise invalid(
            f"This model's maximum context length is {self._context} tokens. However, your {what} resulted in {size} "
            f"tokens. Please reduce the length of the {what}.",
            what,
            "context_length_exceeded",
        )


def placeholders(tokens: Sequence[int], media: dict[int, str]) -> list[str]:
    """The kinds of media that have a place among the tokens, in order."""
    return [media[token] for token in tokens if token in media]


def _runs(tokens: Sequence[int], media: dict[int, str]) -> list[tuple[str, int, int]]:
    """Kind, first index and length of each run of one placeholder."""
    values = np.array(tokens)
    edges = np.flatnonzero(np.diff(values)) + 1
    starts = [0, *edges.tolist()]
    ends = [*edges.tolist(), values.size]
    return [
        (media[tokens[start]], start, end - start)
        for start, end in zip(starts, ends, strict=True)
        if tokens[start] in media
    ]


def _unwoven(block: Block) -> Block:
    """The talker is not told that sound and pictures belong together: to it they stand one after the other."""
    return Plain(block.size) if isinstance(block, Woven) else block


def talker_options(speech: Speech) -> TalkerOptions:
    given = {name: getattr(speech.options, name) for name in speech.options.__struct_fields__}
    options: TalkerOptions = {name: value for name, value in given.items() if value is not None}  # type: ignore[assignment]
    return options


def _own(processor: Any) -> str:
    template = processor.chat_template or processor.tokenizer.chat_template
    if isinstance(template, dict):
        template = template.get("default") or next(iter(template.values()), "")
    return template or ""
