"""What a stage program is to the autoregressive engine: the part that a model family's author writes.

A program gives the model, turns a request into a `Generation` and turns tokens into what its ports carry. It does not
batch, schedule, keep KV or sample. All of it is called from the engine's own thread.

    load ──► for each request: begin ──► (tokens ──►) advance* ──► finish
                                                        ▲ feed (stream input came)

What `begin`, `advance`, `feed` or `finish` raises ends that request alone: a RequestError is shown to the client,
anything else is logged and becomes `internal`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from omnipipe.engines.program import Emit, Job, StageContext

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

__all__ = [
    "AutoregressiveProgram",
    "Choice",
    "End",
    "Finish",
    "Generation",
    "Grammar",
    "Hidden",
    "Progress",
    "Prompt",
    "Sampling",
    "StepProgram",
    "TokenLogprobs",
    "Turn",
]


@dataclass(frozen=True, slots=True)
class Prompt:
    """A run of input positions: token ids, or the embeddings that stand in their place."""

    tokens: Sequence[int] = ()
    embeds: "torch.Tensor | None" = None
    """`[n, hidden]`, instead of `tokens`; any dtype and device, it is moved when its turn comes."""
    key: bytes = b""
    """Of embeddings: what they were made from (a digest of the image and its preprocessing). Two runs with one key are
    taken to be equal, so that their KV is shared; empty: nothing from here on is shared."""
    positions: "torch.Tensor | None" = None
    """`[3, n]`, for models with M-RoPE: where these lie in time, height and width. None: all three count on behind the
    highest so far. Equal keys need not mean equal positions: what is shared has both."""
    deep: "Sequence[torch.Tensor]" = ()
    """Of embeddings: `[n, hidden]` each, added to the hidden states after layer 0, 1, ...; `key` is for them, too."""

    def __len__(self) -> int:
        return len(self.tokens) if self.embeds is None else self.embeds.shape[0]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen. The defaults are OpenAI's."""

    temperature: float = 1.0
    """0: the most likely token, always (penalties and bias still count)."""
    top_p: float = 1.0
    top_k: int = 0
    """0: no limit."""
    min_p: float = 0.0
    """Tokens less likely than this share of the likeliest one's probability are left out."""
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    """Both count generated tokens alone."""
    repetition_penalty: float = 1.0
    """Divides positive and multiplies negative logits of tokens that are in the prompt or were generated."""
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    seed: int | None = None
    """The same seed gives the same tokens, whatever else is computed beside them. None: a new one each time."""
    logprobs: int | None = None
    """None: none. n: of each chosen token, and of the n likeliest; all before penalties, bias and temperature."""


@dataclass(frozen=True, slots=True)
class Grammar:
    """What the generated text must match. Ends the generation (`stop`) where the grammar ends."""

    kind: Literal["json_object", "json_schema", "regex", "choice", "lark"]
    source: str | Sequence[str] | Mapping[str, object] = ""
    """The schema (text or data), the pattern, the choices, the grammar; nothing for `json_object`. A `lark` grammar is
    llguidance's dialect: special tokens as `<|name|>`, sub-grammars as `%json {...}`."""
    param: str = "response_format"
    """The client's own name of the field, for the error when the grammar makes no sense."""


class Hidden(StrEnum):
    """Of which positions a request wants the hidden states of `hidden_layers`."""

    NONE = "none"
    GENERATED = "generated"  # the state that each generated token was chosen from
    PROMPT = "prompt"  # of the prompt alone; its KV is then computed anew, never taken from the prefix cache
    ALL = "all"  # both


@dataclass(slots=True)
class Generation:
    """One sequence: what the engine needs to know of a request."""

    prompt: Sequence[Prompt]
    """Together at least one position."""
    max_tokens: int | None = None
    """None: until it stops, or the context is full. 0: nothing is generated; for what is told of the prompt."""
    min_tokens: int = 0
    """Stop tokens cannot be chosen before this many tokens have been generated, unless the grammar leaves nothing
    else."""
    stop_tokens: frozenset[int] = frozenset()
    """End-of-text tokens and the client's `stop_token_ids`; leave the former out for `ignore_eos`."""
    sampling: Sampling = Sampling()
    prompt_logprobs: int | None = None
    """n: how likely each token of the prompt was, but for the first, and the n likeliest at its place. All of it is
    computed anew, and is tokens alone."""
    grammar: Grammar | None = None
    hidden: Hidden = Hidden.NONE
    priority: int = 0
    """Smaller goes first; equals go in order of arrival."""
    hold: bool = False
    """More input will be appended (`Turn.append`) before the first token is sampled."""
    emits: Sequence[Emit] = ()
    """What can be said before anything is computed."""
    told: Sequence[int] = ()
    """Tokens that embeddings of the prompt stand for, which the repetition penalty counts as well."""
    feeds_paused: bool = False
    """Stream input is taken while a consumer has no room, too, so that this does not hold up the producer: what comes
    is bounded, and `feed` emits nothing."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A token and its log probability."""

    token: int
    logprob: float


@dataclass(frozen=True, slots=True)
class TokenLogprobs:
    chosen: Choice
    top: tuple[Choice, ...]
    """Likeliest first."""


@dataclass(slots=True)
class Progress:
    """What one step gave a request. A stop token is not in it (see `End.stop_token`)."""

    tokens: Sequence[int]
    """New ones; none when there is only something of the prompt to hand out."""
    logprobs: Sequence[TokenLogprobs] = ()
    """One a token, when `Sampling.logprobs` asks for them."""
    hidden: "Mapping[int, torch.Tensor]" = field(default_factory=dict)
    """Layer -> `[n, hidden]` on the model's device: for positions of the prompt that were computed and for each new
    token the state that it was chosen from (`Generation.hidden`). Yours to keep."""
    prompt_logprobs: Sequence[TokenLogprobs] = ()
    """Of the prompt's next tokens, when `Generation.prompt_logprobs` asks for them; with no token beside them. All of
    them come before the first token."""


@dataclass(slots=True)
class Turn:
    """What the program answers to tokens or to stream input."""

    emits: Sequence[Emit] = ()
    finish: str | None = None
    """End now, with this as `End.reason`: a stop string was found, a tool call is complete, ..."""
    append: Sequence[Prompt] = ()
    """More input positions behind all that is there; the next token is sampled after the last of them."""
    embed: "torch.Tensor | None" = None
    """`[hidden]`: what the model sees in place of the newest token's embedding (a talker adds its thinker's state)."""
    hold: bool = False
    """Sample nothing more until a `feed` answers without it. Said anew in each Turn."""


class Finish(StrEnum):
    """The engine's own reasons; a program's are any other text."""

    STOP = "stop"  # a stop token, or the grammar is complete
    LENGTH = "length"  # max_tokens, or the context is full


@dataclass(frozen=True, slots=True)
class End:
    reason: str
    """A `Finish`, or what `Turn.finish` said."""
    prompt_tokens: int
    """Input positions, those appended later included."""
    completion_tokens: int
    """Generated tokens, a stop token included."""
    cached_tokens: int
    """Of the prompt's: not computed, for their KV was there."""
    stop_token: int | None = None
    stop_logprobs: TokenLogprobs | None = None
    """Of the stop token, when `Sampling.logprobs` asks for them."""
    hidden: "Mapping[int, torch.Tensor]" = field(default_factory=dict)
    """As in `Progress`: the state that the stop token was chosen from."""


class AutoregressiveProgram(Protocol):
    """Constructed by the stage with a StageContext, in the engine's own thread."""

    tokenizer: "PreTrainedTokenizerBase | None"
    """There after `load`; needed for grammars alone."""
    hidden_layers: tuple[int, ...]
    """Whose states can be handed out, as transformers counts `hidden_states`: 0 the embeddings, k the output of layer
    k, -1 the last one after the final norm, from which logits are made. Usually empty."""

    def __init__(self, context: StageContext) -> None: ...

    def load(self, dtype: Literal["auto", "float32", "bfloat16", "float16"]) -> "PreTrainedModel":
        """A causal language model of transformers, in eval mode, on its device. `auto`: what suits the hardware."""

    def begin(self, job: Job, context: int) -> "Generation | Sequence[Emit] | None":
        """What to generate for this request; or the answer itself, where nothing is to be generated. `context`: the
        positions that one sequence can have here at most, prompt and answer together; the engine refuses a prompt that
        leaves no room for one token. Stream chunks that have come already are in `job.chunks` and are the program's to
        take (they count as consumed). None: what there is of them is not enough to begin with; leave them there, and
        `begin` is called again when more have come."""

    def advance(self, job: Job, progress: Progress) -> Turn:
        """New tokens, or hidden states. Emissions go out at the end of the step."""

    def feed(self, job: Job) -> Turn:
        """Stream input has come (`job.chunks`, `job.ended`); what is in there counts as consumed on return."""

    def finish(self, job: Job, end: End) -> Sequence[Emit]:
        """The last emissions, each port's flagged `last`; outputs with their meta (finish_reason, usage)."""


@runtime_checkable
class StepProgram(Protocol):
    """An `AutoregressiveProgram` may have this, too: what is to be computed for all of a step's new tokens together."""

    def tokens(self, batch: Sequence[tuple[Job, Progress]]) -> None:
        """All requests that got tokens in this step, before `advance` is called for each of them; those that end with a
        stop token are not among them. When it raises, each is tried once more alone, and those that raise again fail:
        change `state` last, so that a second try works."""
