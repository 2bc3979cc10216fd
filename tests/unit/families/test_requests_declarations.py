"""A family of somebody's own says what it can be asked; what is wrong with that is told before anybody asks."""

import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, get_args

import pytest

from omnipipe.families.declarations import CAPABILITIES, MEDIA, faults
from omnipipe.families.echo.graph import FAMILY as ECHO
from omnipipe.families.registry import BUILT_IN, FamilyUnusable, find_family, load_requests
from omnipipe.families.requests import Capability, MediaKind

SOUND: dict[str, Any] = {
    "capabilities": frozenset({"chat"}),
    "options": frozenset(),
    "media": frozenset(),
    "voices": frozenset(),
    "audio_formats": frozenset(),
    "sample_rate_hz": 0,
    "entry": lambda self, request: None,
    "check_stage_params": lambda self, stage, params: None,
}
MISSING = object()


def made(**other: Any) -> object:
    members = {name: value for name, value in {**SOUND, **other}.items() if value is not MISSING}
    return type("Requests", (), members)()


def test_the_names_are_those_of_the_types() -> None:
    assert frozenset(get_args(Capability)) == CAPABILITIES
    assert frozenset(get_args(MediaKind)) == MEDIA


@pytest.mark.parametrize("name", BUILT_IN)
def test_our_own_are_sound(name: str) -> None:
    family = find_family(name)
    assert family is not None
    assert faults(load_requests(family)) == []


def test_the_least_that_there_can_be_is_sound() -> None:
    assert faults(made()) == []
    assert faults(made(options={"max_tokens"})) == []


@pytest.mark.parametrize(
    ("other", "fault"),
    [
        ({"options": None}, "'options' is None; it must be a frozenset of names, frozenset() for none"),
        ({"options": MISSING}, "'options' is missing; it must be a frozenset of names, frozenset() for none"),
        ({"options": "max_tokens"}, "'options' is 'max_tokens'; it must be a frozenset of names"),
        ({"options": ["max_tokens"]}, "'options' is ['max_tokens']; it must be"),
        ({"media": frozenset({"picture"})}, "'media' has picture; there are audio, image, video"),
        ({"capabilities": frozenset({"chats"})}, "'capabilities' has chats; there are chat, completion, embed"),
        ({"capabilities": frozenset()}, "'capabilities' is empty"),
        ({"audio_formats": frozenset({"ogg"})}, "'audio_formats' has ogg; there are aac, flac"),
        ({"voices": MISSING}, "'voices' is missing"),
        ({"sample_rate_hz": None}, "'sample_rate_hz' is None; it must be a whole number from 0"),
        ({"sample_rate_hz": 24000.0}, "'sample_rate_hz' is 24000.0"),
        ({"entry": MISSING}, "there is no method 'entry'"),
        ({"check_stage_params": MISSING}, "there is no method 'check_stage_params'"),
        ({"capabilities": frozenset({"embed"})}, "there is no method 'entry_embed'"),
        ({"capabilities": frozenset({"tokenize"})}, "there is no method 'entry_detokenize'"),
        ({"capabilities": frozenset({"speech"})}, "'speech_options' is missing"),
    ],
)
def test_what_is_wrong_is_said(other: Mapping[str, Any], fault: str) -> None:
    assert any(one.startswith(fault) for one in faults(made(**other))), faults(made(**other))


def test_all_that_is_wrong_is_in_the_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    module = type(sys)("odd_requests")
    module.__dict__["Odd"] = type("Odd", (), {**SOUND, "options": None, "voices": ()})
    monkeypatch.setitem(sys.modules, "odd_requests", module)
    with pytest.raises(FamilyUnusable) as caught:
        load_requests(replace(ECHO, name="mine", requests="odd_requests:Odd"))
    assert str(caught.value) == (
        'the family "mine" cannot be used: of its requests odd_requests:Odd '
        "'options' is None; it must be a frozenset of names, frozenset() for none; "
        "'voices' is (); it must be a frozenset of names, frozenset() for none"
    )
