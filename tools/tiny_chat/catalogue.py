"""What tools can be about: their names, parameters, how they are asked for, and what is made of their results.

The same thing has many names, so that the model takes the name from the tools it is given, not from memory.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from tools.tiny_chat.vocabulary import CITIES, COLOURS, FOODS, NAMES, PLACES, THINGS, made_up, sentence

__all__ = ["CONCEPTS", "Concept", "Parameter", "free_form"]

Values = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Parameter:
    role: str
    names: tuple[str, ...]
    type: str
    draw: Callable[[random.Random], object]
    enum: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Concept:
    names: tuple[str, ...]
    about: str
    parameters: tuple[Parameter, ...]
    asked: tuple[str, ...]
    result: Callable[[random.Random, Values], tuple[dict[str, object], str]]
    """The tool's result, and the answer to the user out of it."""


def _city(rng: random.Random) -> str:
    return made_up(rng).capitalize() if rng.random() < 0.3 else rng.choice(CITIES)


def _person(rng: random.Random) -> str:
    return made_up(rng, 2).capitalize() if rng.random() < 0.3 else rng.choice(NAMES)


def _word(rng: random.Random) -> str:
    return made_up(rng) if rng.random() < 0.3 else rng.choice((*THINGS, *FOODS))


def _text(rng: random.Random) -> str:
    return sentence(rng, rng.randint(2, 4))


def _whole(low: int, high: int) -> Callable[[random.Random], int]:
    return lambda rng: rng.randint(low, high)


def _weather(rng: random.Random, given: Values) -> tuple[dict[str, object], str]:
    sky, degrees = rng.choice(("sunny", "cloudy", "rainy", "windy", "snowy", "foggy")), rng.randint(-15, 38)
    keys = rng.choice((("temperature", "sky"), ("temp", "conditions"), ("degrees", "weather")))
    result: dict[str, object] = {keys[0]: degrees, keys[1]: sky}
    if rng.random() < 0.3:
        result = dict(reversed(result.items()))
    return result, f"It is {sky} and {degrees} degrees in {given['city']}."


def _time(rng: random.Random, given: Values) -> tuple[dict[str, object], str]:
    now = f"{rng.randrange(24):02}:{rng.randrange(60):02}"
    return {"time": now}, f"It is {now} in {given['city']}."


def _price(rng: random.Random, given: Values) -> tuple[dict[str, object], str]:
    price = rng.randint(1, 99)
    return {rng.choice(("price", "cost")): price}, f"The {given['item']} costs {price} dollars."


def _stock(rng: random.Random, given: Values) -> tuple[dict[str, object], str]:
    count = rng.randint(2, 99)
    return {rng.choice(("count", "stock")): count}, f"There are {count} {given['item']}s in stock."


def _sum(rng: random.Random, given: Values) -> tuple[dict[str, object], str]:
    a, b = given["a"], given["b"]
    total = rng.randint(2, 999)  # not computed: the answer must be the tool's
    return {rng.choice(("result", "sum")): total}, f"{a} + {b} = {total}"


def _age(rng: random.Random, given: Values) -> tuple[dict[str, object], str]:
    age = rng.randint(3, 90)
    return {"age": age}, f"{given['person']} is {age} years old."


def _done(text: str) -> Callable[[random.Random, Values], tuple[dict[str, object], str]]:
    def result(rng: random.Random, given: Values) -> tuple[dict[str, object], str]:
        results: tuple[dict[str, object], ...] = ({"ok": True}, {"status": "ok"}, {"status": "done"})
        return rng.choice(results), text.format(**given)

    return result


def _light(rng: random.Random, given: Values) -> tuple[dict[str, object], str]:
    return {"ok": True}, f"The light in the {given['room']} is {'on' if given['on'] else 'off'}."


CITY: Final = Parameter("city", ("city", "place", "location", "town"), "string", _city)
ITEM: Final = Parameter("item", ("item", "product", "thing", "name"), "string", _word)
PERSON: Final = Parameter("person", ("name", "person", "who", "user"), "string", _person)

CONCEPTS: Final = (
    Concept(
        ("get_weather", "weather", "fetch_weather", "current_weather", "weather_in", "get_current_weather"),
        "Get the weather of a city.",
        (CITY,),
        (
            "What is the weather in {city}?",
            "How is the weather in {city}?",
            "What's the weather like in {city} today?",
            "Tell me the weather in {city}.",
            "Weather in {city}?",
        ),
        _weather,
    ),
    Concept(
        ("get_weather", "weather", "get_current_weather"),
        "Get the weather of a city.",
        (
            CITY,
            Parameter(
                "unit",
                ("unit", "units"),
                "string",
                lambda rng: rng.choice(("celsius", "fahrenheit")),
                ("celsius", "fahrenheit"),
            ),
        ),
        ("What is the weather in {city} in {unit}?", "How is the weather in {city}, in {unit}?"),
        _weather,
    ),
    Concept(
        ("get_time", "time_in", "current_time", "clock", "local_time"),
        "Get the time in a city.",
        (CITY,),
        ("What time is it in {city}?", "What is the time in {city}?", "Tell me the time in {city}."),
        _time,
    ),
    Concept(
        ("get_price", "price_of", "look_up_price", "price"),
        "Get the price of a product.",
        (ITEM,),
        ("How much is the {item}?", "What does the {item} cost?", "What is the price of the {item}?"),
        _price,
    ),
    Concept(
        ("check_stock", "stock", "count_items", "inventory"),
        "How many of a product are there.",
        (ITEM,),
        ("How many {item}s are in stock?", "How many {item}s do we have?"),
        _stock,
    ),
    Concept(
        ("add", "add_numbers", "sum", "calculator", "plus"),
        "Add two numbers.",
        (
            Parameter("a", ("a", "x", "first"), "integer", _whole(0, 999)),
            Parameter("b", ("b", "y", "second"), "integer", _whole(0, 999)),
        ),
        ("What is {a} + {b}?", "Add {a} and {b}.", "How much is {a} plus {b}?"),
        _sum,
    ),
    Concept(
        ("get_age", "age_of", "look_up_age"),
        "How old somebody is.",
        (PERSON,),
        ("How old is {person}?", "What is the age of {person}?", "Look up the age of {person}."),
        _age,
    ),
    Concept(
        ("set_timer", "start_timer", "timer"),
        "Start a timer.",
        (Parameter("minutes", ("minutes", "mins", "duration"), "integer", _whole(1, 90)),),
        (
            "Set a timer for {minutes} minutes.",
            "Start a timer of {minutes} minutes.",
            "Timer for {minutes} minutes, please.",
        ),
        _done("The timer is set for {minutes} minutes."),
    ),
    Concept(
        ("send_message", "message", "send", "text_person"),
        "Send a message to somebody.",
        (
            Parameter("to", ("to", "name", "receiver"), "string", _person),
            Parameter("text", ("text", "message", "body"), "string", _text),
        ),
        ("Send {to} the message: {text}", "Write to {to}: {text}", "Tell {to} this: {text}"),
        _done("I sent the message to {to}."),
    ),
    Concept(
        ("book_table", "reserve_table", "book"),
        "Book a table in a restaurant.",
        (
            Parameter("place", ("restaurant", "place", "name"), "string", _city),
            Parameter("people", ("people", "guests", "seats"), "integer", _whole(1, 12)),
        ),
        ("Book a table for {people} at {place}.", "Reserve a table at {place} for {people} people."),
        _done("The table for {people} at {place} is booked."),
    ),
    Concept(
        ("set_light", "light", "switch_light"),
        "Turn a light on or off.",
        (
            Parameter("room", ("room", "place"), "string", lambda rng: rng.choice(PLACES)),
            Parameter("on", ("on", "is_on", "state"), "boolean", lambda rng: rng.random() < 0.5),
        ),
        ("Turn the light in the {room} {switch}.", "Switch {switch} the light in the {room}."),
        _light,
    ),
    Concept(
        ("play_song", "play", "play_music"),
        "Play a song.",
        (Parameter("song", ("song", "title", "name"), "string", _text),),
        ("Play the song {song}.", "Please play {song}.", "I want to hear {song}."),
        _done("Now playing {song}."),
    ),
    Concept(
        ("search", "search_web", "find", "look_up"),
        "Search for something.",
        (Parameter("query", ("query", "q", "text", "words"), "string", _text),),
        ("Search for {query}.", "Look up {query}.", "Find {query}."),
        _done("I searched for {query}."),
    ),
)


def free_form(rng: random.Random) -> Concept:
    """A tool that nobody has: its name says what it is asked for by."""
    verb, noun = (
        rng.choice(("open", "close", "move", "paint", "clean", "show", "order", "sell", "count", "hide")),
        rng.choice(THINGS),
    )
    if rng.random() < 0.3:
        noun = made_up(rng)
    kinds = (
        Parameter("value", ("name", "id", "label", made_up(rng)), "string", _word),
        Parameter("value", ("number", "count", "amount", made_up(rng)), "integer", _whole(0, 200)),
        Parameter("value", ("colour", "kind"), "string", lambda draw: draw.choice(COLOURS)),
    )
    return Concept(
        (f"{verb}_{noun}", f"{noun}_{verb}"),
        f"{verb.capitalize()} the {noun}.",
        (rng.choice(kinds),),
        (f"{verb.capitalize()} the {noun} {{value}}.", f"Please {verb} the {noun} {{value}}."),
        _done("Done."),
    )
