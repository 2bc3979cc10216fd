"""Calling tools: which one, with which arguments, of which type, and what to say of the result."""

import json
import random
from collections.abc import Mapping

from tools.tiny_chat.catalogue import CONCEPTS, Concept, free_form
from tools.tiny_chat.instance import Instance, Message, call, phrase
from tools.tiny_chat.smalltalk import chat
from tools.tiny_chat.vocabulary import CITIES, NAMES

__all__ = ["parallel_calls", "tool_answer", "tool_call", "tool_unused"]

Tool = Mapping[str, object]


def _draw(rng: random.Random) -> Concept:
    return free_form(rng) if rng.random() < 0.3 else rng.choice(CONCEPTS)


def _declare(rng: random.Random, concept: Concept) -> tuple[Tool, dict[str, str]]:
    """The tool as a client would declare it, and role -> the parameter's name in it."""
    names = {parameter.role: rng.choice(parameter.names) for parameter in concept.parameters}
    if len(set(names.values())) < len(names):
        names = {parameter.role: parameter.names[0] for parameter in concept.parameters}
    properties: dict[str, object] = {}
    for parameter in concept.parameters:
        properties[names[parameter.role]] = {
            "type": parameter.type,
            **({"enum": list(parameter.enum)} if parameter.enum else {}),
        }
    function: dict[str, object] = {"name": rng.choice(concept.names)}
    if rng.random() < 0.7:
        function["description"] = concept.about
    required = list(names.values())
    function["parameters"] = {"type": "object", "properties": properties, "required": required}
    return {"type": "function", "function": function}, names


def _beside(rng: random.Random, concept: Concept, tool: Tool) -> tuple[Tool, ...]:
    """The tool among others that are about something else."""
    tools, abouts, names = [tool], {concept.about}, {_name(tool)}
    for _ in range(rng.choice((0, 0, 1, 1, 2))):
        other = _draw(rng)
        declared, _ = _declare(rng, other)
        if other.about not in abouts and _name(declared) not in names:
            tools.append(declared)
            abouts.add(other.about)
            names.add(_name(declared))
    rng.shuffle(tools)
    return tuple(tools)


def _name(tool: Tool) -> str:
    function = tool["function"]
    assert isinstance(function, Mapping)
    return str(function["name"])


def _values(rng: random.Random, concept: Concept) -> dict[str, object]:
    return {parameter.role: parameter.draw(rng) for parameter in concept.parameters}


def _question(rng: random.Random, concept: Concept, values: Mapping[str, object]) -> str:
    return phrase(rng, concept.asked, **values, switch="on" if values.get("on") else "off")


def tool_call(rng: random.Random) -> Instance:
    concept = _draw(rng)
    tool, names = _declare(rng, concept)
    values = _values(rng, concept)
    question = _question(rng, concept, values)
    made = call(_name(tool), {names[role]: value for role, value in values.items()})
    messages: tuple[Message, ...] = (
        {"role": "user", "content": question},
        {"role": "assistant", "content": "", "tool_calls": [made]},
    )
    return Instance("tool_call", f"{concept.about}{values}", messages, _beside(rng, concept, tool))


def tool_answer(rng: random.Random) -> Instance:
    concept = _draw(rng)
    tool, names = _declare(rng, concept)
    values = _values(rng, concept)
    question = _question(rng, concept, values)
    result, answer = concept.result(rng, values)
    content = json.dumps(result, ensure_ascii=False)
    if rng.random() < 0.2:  # tools that answer in words are quoted
        content = answer = rng.choice(("It works.", "Done.", answer, f"{rng.randrange(100)} degrees", "No such thing."))
    made = call(_name(tool), {names[role]: value for role, value in values.items()})
    messages: tuple[Message, ...] = (
        {"role": "user", "content": question},
        {"role": "assistant", "content": "", "tool_calls": [made]},
        {"role": "tool", "content": content},
        {"role": "assistant", "content": answer},
    )
    return Instance("tool_answer", f"{concept.about}{values}{content}", messages, _beside(rng, concept, tool))


def parallel_calls(rng: random.Random) -> Instance:
    """The same tool for two values at once."""
    concept = rng.choice(
        [
            concept
            for concept in CONCEPTS
            if len(concept.parameters) == 1 and concept.parameters[0].role in ("city", "person")
        ]
    )
    tool, names = _declare(rng, concept)
    role = concept.parameters[0].role
    pair = rng.sample(CITIES if role == "city" else NAMES, 2)
    question = _question(rng, concept, {role: " and ".join(pair)})
    made = [call(_name(tool), {names[role]: value}) for value in pair]
    messages: tuple[Message, ...] = (
        {"role": "user", "content": question},
        {"role": "assistant", "content": "", "tool_calls": made},
    )
    return Instance("parallel_calls", f"{concept.about}{pair}", messages, _beside(rng, concept, tool))


def tool_unused(rng: random.Random) -> Instance:
    """There are tools, and none is called for."""
    concept = _draw(rng)
    tool, _ = _declare(rng, concept)
    plain = chat(rng)
    return Instance("tool_unused", plain.key, plain.messages, _beside(rng, concept, tool))
