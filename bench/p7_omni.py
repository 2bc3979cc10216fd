"""P7: spoken answers of builtin://tiny-omni through `omnipipe serve` and HTTP, against transformers' own generate.

Eight questions, half of them with a picture, all greedy, asked by 1, 4 and 16 clients at a time; beside it, in turns,
generate with one after another, which is all that it can do. Both compute in f32, with one thread
a process: the matrices are small.
"""

import argparse
import base64
import io
import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.omni_load import Said, speak_all
from bench.omni_subject import MODEL, MOST_FRAMES, MOST_TOKENS, Reference, Subject, serve
from bench.omni_watch import Watched, watching
from bench.row import Row
from PIL import Image, ImageDraw

from omnipipe.observe.reading import hops, load_events

__all__ = ["rows"]

_SPEEDUP, _FIRST_SHARE, _MODEL_SHARE = 4.0, 0.15, 0.90
_REQUESTS = {1: 8, 4: 16, 16: 48}
"""Clients at a time -> requests in a round."""
_MOST = max(_REQUESTS)


def _picture(colour: str, *, round: bool) -> Image.Image:
    image = Image.new("RGB", (32, 32), "white")
    brush = ImageDraw.Draw(image)
    (brush.ellipse if round else brush.rectangle)((8, 8, 24, 24), fill=colour)
    return image


_QUESTIONS: tuple[tuple[str, Image.Image | None], ...] = (
    ("What can you do?", None),
    ("What do you see?", _picture("red", round=True)),
    ("Tell me about history.", None),
    ("What is this?", _picture("blue", round=False)),
    ("Count to 15.", None),
    ("Describe the image.", _picture("green", round=True)),
    ("Write a poem about water.", None),
    ("What is in the picture?", _picture("red", round=False)),
)


@dataclass
class _Measured:
    said: dict[int, list[Said]] = field(default_factory=lambda: defaultdict(list))
    rates: list[float] = field(default_factory=list)
    """Requests a second with the most clients, a round each."""
    generate_s: list[float] = field(default_factory=list)
    """The same questions by generate: the mean of a round."""
    whole_s: list[float] = field(default_factory=list)
    """Of each question by generate."""
    generate_cpu_s: list[float] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    wall_s: float = 0.0
    cpu_s: float = 0.0
    engines_cpu_s: float = 0.0
    watched: Watched = field(default_factory=Watched)
    steps_s: dict[str, float] = field(default_factory=lambda: defaultdict(float))


def rows(rounds: int = 3) -> list[Row]:
    reference, measured = Reference(), _Measured()
    with tempfile.TemporaryDirectory() as name, serve(Path(name)) as subject:
        speak_all(subject.url, _bodies(_MOST), _MOST)  # warm
        reference.speak(*_QUESTIONS[1])
        for _ in range(rounds):
            _generate(reference, measured)
            for at_once, requests in _REQUESTS.items():
                _load(subject, measured, at_once, requests)
        speak_all(subject.url, _bodies(_REQUESTS[_MOST], events=True), _MOST)
        time.sleep(1.5)  # events are flushed about once a second
        edges = _edges(subject.events)
    return [*_against_generate(measured), *_at_each_load(measured), *_where_the_time_goes(measured), edges]


def _bodies(count: int, *, events: bool = False) -> list[dict[str, Any]]:
    return [_body(*_QUESTIONS[number % len(_QUESTIONS)], events=events) for number in range(count)]


def _body(question: str, image: Image.Image | None, *, events: bool) -> dict[str, Any]:
    content: list[dict[str, Any]] = [{"type": "text", "text": question}]
    if image is not None:
        file = io.BytesIO()
        image.save(file, "PNG")
        url = f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
        content.insert(0, {"type": "image_url", "image_url": {"url": url}})
    return {
        "model": MODEL,
        "messages": [{"role": "user", "content": content}],
        "modalities": ["text", "audio"],
        "audio": {"voice": "ethan", "format": "pcm16"},
        "stream": True,
        "temperature": 0,
        "max_tokens": MOST_TOKENS,
        "talker_do_sample": False,
        "talker_max_new_tokens": MOST_FRAMES,
        **({"events": True} if events else {}),
    }


def _generate(reference: Reference, measured: _Measured) -> None:
    answers = [reference.speak(*question) for question in _QUESTIONS]
    measured.texts = [one.text for one in answers]
    measured.whole_s += [one.took_s for one in answers]
    measured.generate_s.append(statistics.mean(one.took_s for one in answers))
    measured.generate_cpu_s += [one.cpu_s for one in answers]


def _load(subject: Subject, measured: _Measured, at_once: int, requests: int) -> None:
    bodies = _bodies(requests)
    if at_once != _MOST:
        measured.said[at_once] += speak_all(subject.url, bodies, at_once)
        return
    steps_before = subject.steps_s()
    with watching(subject.engines(), measured.watched):
        before, begun = subject.used(), time.perf_counter()
        measured.said[at_once] += speak_all(subject.url, bodies, at_once)
        wall, after = time.perf_counter() - begun, subject.used()
    measured.rates.append(requests / wall)
    measured.wall_s += wall
    measured.cpu_s += after.cpu_s - before.cpu_s
    measured.engines_cpu_s += after.engines_cpu_s - before.engines_cpu_s
    for stage, seconds in subject.steps_s().items():
        measured.steps_s[stage] += seconds - steps_before.get(stage, 0.0)


def _against_generate(measured: _Measured) -> list[Row]:
    rate = statistics.median(measured.rates)
    baseline = 1 / statistics.median(measured.generate_s)
    speedup = statistics.median(
        ours * theirs for ours, theirs in zip(measured.rates, measured.generate_s, strict=True)
    )  # fmt: skip
    alone = measured.said[1]
    shares = [one.first_s / whole for one, whole in zip(alone, measured.whole_s, strict=True)]
    share, first, whole = map(statistics.median, (shares, [one.first_s for one in alone], measured.whole_s))
    texts = [one.text for said in measured.said.values() for one in said]
    right = sum(text == measured.texts[number % len(_QUESTIONS)] for number, text in _numbered(measured))
    return [
        _row(
            f"spoken answers, c = {_MOST}", f"{rate:.1f} req/s", f"{baseline:.2f} req/s: generate, one by one", speedup,
            f">= {_SPEEDUP:g}x", speedup >= _SPEEDUP,
        ),
        _row(
            "time to first audio, c = 1", f"{first * 1e3:.0f} ms", f"{whole * 1e3:.0f} ms: generate, whole waveform",
            share, f"<= {_FIRST_SHARE:.0%}", share <= _FIRST_SHARE,
        ),
        _row("texts that are those of generate", f"{right} of {len(texts)}", "", None, "all", right == len(texts)),
    ]  # fmt: skip


def _numbered(measured: _Measured) -> list[tuple[int, str]]:
    """Every load begins with the first question, and has a whole number of turns."""
    return [(number, one.text) for said in measured.said.values() for number, one in enumerate(said)]


def _at_each_load(measured: _Measured) -> list[Row]:
    found = []
    for at_once, said in measured.said.items():
        first = [one.first_s * 1e3 for one in said]
        pace = statistics.median(one.whole_s / one.sound_s for one in said)
        worst = statistics.quantiles(first, n=20)[-1]
        figure = f"{statistics.median(first):.0f} ms (p95 {worst:.0f} ms), {pace:.2f}"
        found.append(_row(f"first audio, real-time factor, c = {at_once}", figure, "", None, "< 1", pace < 1))
    return found


def _where_the_time_goes(measured: _Measured) -> list[Row]:
    share = measured.engines_cpu_s / measured.cpu_s
    computing = measured.watched.computing / measured.watched.looks
    cores = measured.cpu_s / measured.wall_s
    busy = sorted(measured.steps_s.items(), key=lambda item: -item[1])
    steps = ", ".join(f"{stage} {seconds / measured.wall_s:.0%}" for stage, seconds in busy[:4])
    each, alone = measured.cpu_s / len(measured.said[_MOST]), statistics.mean(measured.generate_cpu_s)
    return [
        _row(
            f"CPU of a spoken answer, c = {_MOST}", f"{each * 1e3:.0f} ms", f"{alone * 1e3:.0f} ms: generate",
            each / alone, "", True,
        ),
        _row(
            f"wall time in which at least one engine computes, c = {_MOST}", f"{computing:.1%}", "", None,
            f">= {_MODEL_SHARE:.0%}", computing >= _MODEL_SHARE,
        ),
        _row(
            f"CPU time of the server in its engines' threads, c = {_MOST}", f"{share:.1%}",
            f"{cores:.2f} of {os.cpu_count()} cores busy", None, f">= {_MODEL_SHARE:.0%}", share >= _MODEL_SHARE,
        ),
        _row(f"wall time in engine steps, c = {_MOST}", steps, "", None, "", True),
    ]  # fmt: skip


def _edges(events: Path) -> Row:
    """From a value's being sent to its being read: what `omnipipe profile` prints as hops."""
    waits: dict[str, list[float]] = defaultdict(list)
    for hop in hops(load_events(events)):
        waits[hop.edge].append(hop.seconds * 1e3)
    figure = ", ".join(f"{edge} {statistics.median(values):.1f}" for edge, values in sorted(waits.items()))
    return _row(f"idle on each edge, p50, ms, c = {_MOST}", figure, "", None, "", True)


def _row(work: str, figure: str, baseline: str, ratio: float | None, goal: str, met: bool) -> Row:
    return Row("P7", f"tiny-omni, {work}", figure, baseline, ratio, goal, met)


def _main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    for row in rows(parser.parse_args(arguments).rounds):
        print(row)


if __name__ == "__main__":
    _main()
