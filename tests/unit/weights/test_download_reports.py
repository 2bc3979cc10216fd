"""What a person sees of a download on a terminal, and what a shelf gives back."""

import io
import re
from pathlib import Path

import pytest

from omnipipe.spec.sources import parse_source
from omnipipe.weights.errors import WeightsError
from omnipipe.weights.progress import LogLines, TerminalBar, human, report_for
from omnipipe.weights.shelf import Shelf


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_bar_and_a_log_gets_lines() -> None:
    assert isinstance(report_for(Terminal()), TerminalBar)
    assert isinstance(report_for(io.StringIO()), LogLines)


@pytest.mark.parametrize(
    ("done", "cells", "words"),
    [
        (0, 0, "  0% 0 B of 1.0 KiB"),
        (512, 15, " 50% 512 B of 1.0 KiB"),
        (1024, 30, "100% 1.0 KiB of 1.0 KiB"),
        (4096, 30, "100% 4.0 KiB of 1.0 KiB"),  # the hub had told too little
        (-100, 0, " -10% "),
    ],
)
def test_the_bar_is_as_long_as_what_is_there(done: int, cells: int, words: str) -> None:
    screen = Terminal()
    bar = TerminalBar(screen)
    bar.start("m", 1024)
    bar.add(done)

    bar.end()

    last = screen.getvalue().rpartition("\r")[2]
    assert last.startswith(f"m {'█' * cells}{'░' * (30 - cells)}")
    assert words in last
    assert last.endswith("/s\x1b[K\n")


def test_each_drawing_is_over_the_one_before() -> None:
    screen = Terminal()
    bar = TerminalBar(screen)
    bar.start("m", 1 << 20)
    bar.add(1)
    bar.end()

    assert all(line.endswith("\x1b[K") for line in screen.getvalue().rstrip("\n").split("\r")[1:])


def test_a_model_of_nothing_is_there_at_once() -> None:
    screen = Terminal()
    bar = TerminalBar(screen)
    bar.start("m", 0)
    bar.end()

    assert re.search(r"0% 0 B of 0 B", screen.getvalue())


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1 << 20, "1.0 MiB"), (5 << 30, "5.0 GiB"), (1 << 40, "1.0 TiB")],
)
def test_bytes_as_people_count_them(count: int, text: str) -> None:
    assert human(count) == text


def test_a_shelf_tells_where_the_model_is_whoever_put_it_there(tmp_path: Path) -> None:
    shelf, source = Shelf(tmp_path), parse_source("hf://owner/name@v1")

    first = shelf.fill(source, lambda partial: None, lambda: None)
    again = shelf.fill(source, lambda partial: pytest.fail("it is there"), lambda: pytest.fail("nobody is at it"))

    assert first == again == shelf.find(source) == tmp_path / "hf" / "owner--name" / "v1"
    assert sorted(path.name for path in tmp_path.iterdir()) == [".locks", ".partial", "hf"]
    assert list((tmp_path / ".partial").iterdir()) == []


def test_a_disk_that_refuses_is_told_in_its_own_words(tmp_path: Path) -> None:
    def full(partial: Path) -> None:
        raise OSError("no words and no number")

    with pytest.raises(WeightsError, match=f"cannot write to {re.escape(str(tmp_path))}: no words and no number"):
        Shelf(tmp_path).fill(parse_source("hf://owner/name"), full, lambda: None)


def test_a_copy_is_without_what_is_hidden(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    for name in ("config.json", ".git", "sub/a.txt", "sub/.cache"):
        (folder / name).write_text("x")

    place = Shelf(tmp_path / "shelf").fill_with_copy(parse_source("builtin://small"), folder, lambda: None)

    assert sorted(str(path.relative_to(place)) for path in place.rglob("*")) == ["config.json", "sub", "sub/a.txt"]
