"""Messages to the thinker's prompt: rendered by the model's chat template, media in its place."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from omnipipe.errors import ErrorKind, RequestError
from omnipipe.families.llm.asked import invalid, read_options
from omnipipe.families.llm.rendering import ChatTemplate
from omnipipe.families.omni_parts.asked import Chat, Medium, Speech, Verbatim
from omnipipe.families.omni_parts.blocks import Block, Plain
from omnipipe.families.omni_parts.items import Made
from omnipipe.families.omni_parts.values import Item, Prompt, Span, TalkerOptions
from omnipipe.families.overlong import surely_longer
from omnipipe.wire.value import Tensor

if TYPE_CHECKING:
    import numpy.typing as npt

Positions: TypeAlias = "npt.NDArray[np.float32]"
"""`[3, n]`"""

__all__ = ["Laid", "Positions", "Prompter", "placeholders", "talker_options"]

_READ_ALOUD: Final = "Read the text aloud."
"""What the user is taken to have asked for, where a text is to be spoken as it stands."""
_PICTURES: Final = frozenset({"image", "video"})


@dataclass(frozen=True, slots=True)
class Laid:
    """A prompt laid out."""

    tokens: list[int]
    blocks: list[Block]
    items: list[Item]
    spans: list[Span]


class Prompter(ABC):
    """`processor`, `config`: of the whole model. `template`: in place of its own."""

    def __init__(self, processor: Any, config: Any, template: str | None = None) -> None:
        self._tokenizer = processor.tokenizer
        thinker = config.thinker_config
        self._context: int = thinker.text_config.max_position_embeddings
        self._template = ChatTemplate(self._tokenizer, _own(processor) if template is None else template)
        self._media = {
            thinker.image_token_id: "image",
            thinker.audio_token_id: "audio",
            thinker.video_token_id: "video",
        }

    @abstractmethod
    def _positions(self, blocks: Sequence[Block]) -> Positions:
        """Where a prompt of these stands in time, height and width."""

    @abstractmethod
    def _spoken(self, speech: Speech, laid: Laid, start: int) -> Any:
        """The family's `Spoken`. `start`: where the text begins that is to be spoken."""

    def tokens(self, asked: Chat) -> list[int]:
        """With one token for each medium. Raises RequestError."""
        options = read_options(asked.options)
        text = self._template.render(asked.messages, options.usable_tools, self._template.variables(options))
        if surely_longer(text, self._context, lambda part: self._tokenizer(part)["input_ids"]):
            raise self._no_room(f"more than {self._context}", "messages")
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

    def _check_room(self, size: int, what: str = "messages") -> None:
        if size >= self._context:
            raise self._no_room(str(size), what)

    def _no_room(self, size: str, what: str) -> RequestError:
        """In OpenAI's words, which clients look for."""
        return invalid(
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


def talker_options(speech: Speech) -> TalkerOptions:
    given = {name: getattr(speech.options, name) for name in speech.options.__struct_fields__}
    options: TalkerOptions = {name: value for name, value in given.items() if value is not None}  # type: ignore[assignment]
    return options


def _own(processor: Any) -> str:
    template = processor.chat_template or processor.tokenizer.chat_template
    if isinstance(template, dict):
        template = template.get("default") or next(iter(template.values()), "")
    return template or ""
