"""A request as the engine takes it: prompt tokens, how to sample, where to stop, what to hold to."""

from collections.abc import Sequence
from dataclasses import dataclass

from omnipipe.engines.autoregressive.program import Generation, Prompt, Sampling
from omnipipe.errors import RequestError
from omnipipe.families.llm.asked import Chat, Completion, Options, Tool, invalid
from omnipipe.families.llm.constraints import constraint
from omnipipe.families.llm.echoing import ScoredPrompt, unseen_tokens
from omnipipe.families.llm.model import Model
from omnipipe.families.llm.reasoning import Thinking
from omnipipe.families.llm.tools.dialect import Dialect
from omnipipe.families.overlong import surely_longer

__all__ = ["Question", "chat_question", "completion_question", "prompted_question"]

_COMPLETION_TOKENS = 16
"""OpenAI's default for completions; a chat's answer may fill the context."""
_LEAST_TOP_P = 1e-6
"""What `top_p: 0` means: the likeliest token alone."""


@dataclass(frozen=True, slots=True)
class Question:
    generation: Generation
    stops: tuple[str, ...]
    thinking: Thinking = Thinking.NEVER
    dialect: Dialect | None = None
    """When tools may be called, or when all is said in it."""
    tools: tuple[Tool, ...] = ()
    forced: bool = False
    """It must call."""
    one_call: bool = False
    echo: str = ""
    scored: ScoredPrompt | None = None
    """The echo comes with log probabilities."""
    client_stops: frozenset[int] = frozenset()
    """The client's own stop tokens."""


def chat_question(model: Model, asked: Chat, context: int) -> Question:
    options = asked.options
    _check_tools(model, options)
    prompt = model.template.render(asked.messages, options.usable_tools, model.template.variables(options))
    tokens = _encoded(model, prompt, context, "messages", special=False)
    return prompted_question(model, options, [Prompt(tokens)], model.thinking(prompt), context)


def prompted_question(
    model: Model, options: Options, prompt: Sequence[Prompt], thinking: Thinking, context: int
) -> Question:
    """Of a chat whose prompt is there already; families whose messages hold more than text make it themselves."""
    _check_tools(model, options)
    tools = options.usable_tools
    dialect = model.dialect if model.dialect is not None and (tools or model.dialect.whole) else None
    generation = _generation(model, options, prompt, _chat_limit(options, sum(map(len, prompt)), context))
    generation.grammar = constraint(options, dialect, thinking, model.vocabulary.literal)
    if options.logprobs:
        generation.sampling = _sampling(options, options.top_logprobs or 0)
    return Question(
        generation,
        # A forced call is held to its grammar, which no stop string may cut.
        () if options.must_call else tuple(options.stops),
        thinking,
        dialect,
        tuple(tools),
        forced=options.must_call,
        one_call=options.parallel_tool_calls is False,
        client_stops=frozenset(options.stop_token_ids),
    )


def completion_question(model: Model, asked: Completion, context: int) -> Question:
    options, prompt = asked.options, asked.prompt
    tokens = _encoded(model, prompt, context, "prompt", special=True) if isinstance(prompt, str) else prompt
    if not tokens:
        if model.start_token is None:
            raise invalid("'prompt' is empty.", "prompt")
        tokens = [model.start_token]
    most = _completion_limit(options)
    _check_room(len(tokens), most, context, "prompt", "prompt")
    generation = _generation(model, options, [Prompt(tokens)], most)
    generation.grammar = constraint(options, None, Thinking.NEVER, model.vocabulary.literal)
    if options.logprobs is not None and options.logprobs is not False:
        generation.sampling = _sampling(options, int(options.logprobs))
    echo, scored = "", None
    if options.echo:
        echo = prompt if isinstance(prompt, str) else model.vocabulary.decode_all(tokens)
        generation.prompt_logprobs = generation.sampling.logprobs
        if generation.prompt_logprobs is not None:
            scored = ScoredPrompt(model.vocabulary, tokens[0], _unseen(model, prompt, tokens))
    client_stops = frozenset(options.stop_token_ids)
    return Question(generation, tuple(options.stops), echo=echo, scored=scored, client_stops=client_stops)


def _unseen(model: Model, prompt: str | list[int], tokens: list[int]) -> frozenset[int]:
    if isinstance(prompt, str):
        return unseen_tokens(tokens, model.vocabulary.encode(prompt, special=False))
    return frozenset() if prompt else frozenset([0])


def _completion_limit(options: Options) -> int:
    for most in (options.max_tokens, options.max_completion_tokens):
        if most is not None:
            return most
    return max(_COMPLETION_TOKENS, options.min_tokens)


def _check_tools(model: Model, options: Options) -> None:
    if options.usable_tools and model.dialect is None:
        raise invalid("This model cannot call tools: its chat template does not say how.", "tools")


def _generation(model: Model, options: Options, prompt: Sequence[Prompt], most: int | None) -> Generation:
    ends = frozenset() if options.ignore_eos else model.stop_tokens
    return Generation(
        prompt,
        max_tokens=most,
        min_tokens=options.min_tokens,
        stop_tokens=ends | frozenset(options.stop_token_ids),
        sampling=_sampling(options, None),
    )


def _sampling(options: Options, logprobs: int | None) -> Sampling:
    return Sampling(
        temperature=options.temperature,
        top_p=max(options.top_p, _LEAST_TOP_P),
        top_k=max(options.top_k, 0),
        min_p=options.min_p,
        presence_penalty=options.presence_penalty,
        frequency_penalty=options.frequency_penalty,
        repetition_penalty=options.repetition_penalty,
        logit_bias={int(token): bias for token, bias in options.logit_bias.items()},
        seed=options.seed,
        logprobs=logprobs,
    )


def _chat_limit(options: Options, size: int, context: int) -> int | None:
    """`max_completion_tokens` is a bound and may be beyond the context; with `max_tokens` the client counts on them."""
    _check_room(size, options.max_tokens, context, "messages", "messages")
    return options.max_tokens if options.max_completion_tokens is None else options.max_completion_tokens


def _encoded(model: Model, text: str, context: int, what: str, *, special: bool) -> list[int]:
    if surely_longer(text, context, lambda part: model.vocabulary.encode(part, special=special)):
        raise _no_room(f"more than {context}", context, what, what)
    return model.vocabulary.encode(text, special=special)


def _check_room(size: int, most: int | None, context: int, what: str, param: str) -> None:
    if size >= context and (most != 0 or size > context):
        raise _no_room(str(size), context, what, param)
    if most is not None and size + most > context:
        raise _too_long(
            f"This model's maximum context length is {context} tokens. However, you requested {size + most} tokens "
            f"({size} in the {what}, {most} in the completion). Please reduce the length of the {what} or completion.",
            param,
        )


def _no_room(size: str, context: int, what: str, param: str) -> RequestError:
    """In OpenAI's words, which clients look for."""
    return _too_long(
        f"This model's maximum context length is {context} tokens. However, your {what} resulted in {size} tokens. "
        f"Please reduce the length of the {what}.",
        param,
    )


def _too_long(message: str, param: str) -> RequestError:
    return invalid(message, param, "context_length_exceeded")
