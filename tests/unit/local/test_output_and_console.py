import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from omnipipe.local.console import Console, LineSplitter, LogFormat
from omnipipe.local.output import Output


class Pipe:
    """A pipe that takes lines until it is full, as a log reader that has stopped reading does."""

    def __init__(self) -> None:
        self.read_fd, self.write_fd = os.pipe()
        os.set_blocking(self.read_fd, False)
        os.set_blocking(self.write_fd, False)

    def text(self) -> str:
        data = b""
        try:
            while piece := os.read(self.read_fd, 1 << 16):
                data += piece
        except BlockingIOError:
            pass
        return data.decode()

    def close(self) -> None:
        os.close(self.read_fd)
        os.close(self.write_fd)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.close()


def pump(output: Output) -> None:
    while output.waiting:
        output.pump()


def test_lines_come_out_whole_and_in_order(pipe: Pipe) -> None:
    output = Output(pipe.write_fd)
    lines = [f"{number} {'x' * (number % 700)}\n" for number in range(100)]
    for line in lines:
        output.line(line.encode())
    pump(output)
    assert pipe.text() == "".join(lines)


def test_a_line_longer_than_a_pipe_takes_at_once(pipe: Pipe) -> None:
    output = Output(pipe.write_fd)
    output.line(b"a" * 10_000 + b"\n")
    output.line(b"b\n")
    pump(output)
    assert pipe.text() == "a" * 10_000 + "\nb\n"


def test_a_reader_that_stopped_costs_lines_and_says_so(pipe: Pipe) -> None:
    output = Output(pipe.write_fd, limit_bytes=8192)
    for _ in range(100):
        output.line(b"z" * 1000 + b"\n")
    pump(output)
    output.line(b"after\n")
    pump(output)
    kept = pipe.text().splitlines()
    assert kept[-1] == "after"
    assert kept[-2] == f"... {100 - len(kept) + 2} lines dropped: the log's reader is too slow"


def test_a_full_pipe_is_not_waited_for_at_the_end(pipe: Pipe) -> None:
    output = Output(pipe.write_fd)
    for _ in range(200):
        output.line(b"z" * 1000 + b"\n")
    output.close(within_s=0.01)
    assert output.waiting


def test_a_closed_pipe_ends_the_log_and_nothing_else() -> None:
    read_fd, write_fd = os.pipe()
    os.close(read_fd)
    output = Output(write_fd)
    output.line(b"one\n")
    output.pump()
    output.line(b"two\n")
    assert not output.waiting
    os.close(write_fd)


def test_a_full_disk_costs_lines_and_not_the_rest_of_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = False

    def write(fd: int, data: bytes) -> int:
        if full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(fd, data[:6])

    real = os.write
    monkeypatch.setattr("omnipipe.local.output.os.write", write)
    with (tmp_path / "log").open("wb") as log:
        output = Output(log.fileno())
        output.line(b"one and more\n")
        output.pump()
        full = True
        for _ in range(3):
            output.line(b"lost\n")
            output.pump()
            assert not output.waiting
        full = False
        output.line(b"after\n")
        while output.waiting:
            output.pump()
    assert (tmp_path / "log").read_bytes() == (b"one an\n... 4 lines dropped: there was no room to write them\nafter\n")


def test_lost_lines_are_told_of_in_json_where_the_log_is_json(pipe: Pipe) -> None:
    output = Output(pipe.write_fd, limit_bytes=100)
    console = Console(output, LogFormat.JSON, colour=False, names=["gateway"])
    for _ in range(3):
        console.child("gateway", b"x" * 60)
    pump(output)
    console.child("gateway", b"after")
    pump(output)
    lines = [json.loads(line) for line in pipe.text().splitlines()]
    assert [line["process"] for line in lines[-2:]] == ["omnipipe", "gateway"]
    assert lines[-2]["message"].endswith("dropped: the log's reader is too slow")


def test_splitter_joins_pieces_and_drops_blank_lines() -> None:
    splitter = LineSplitter()
    assert splitter.feed(b"one\r\ntw") == [b"one"]
    assert splitter.feed(b"o\n\n   \nthree") == [b"two"]
    assert splitter.end() == [b"three"]
    assert splitter.end() == []


def test_splitter_cuts_a_line_that_does_not_end() -> None:
    splitter = LineSplitter()
    lines = splitter.feed(b"x" * 200_000)
    lines += splitter.end()
    assert b"".join(lines) == b"x" * 200_000
    assert max(map(len, lines)) <= 65536


def test_text_lines_carry_the_name(pipe: Pipe) -> None:
    console = Console(Output(pipe.write_fd), LogFormat.TEXT, colour=False, names=["synth-0", "gateway"])
    console.child("synth-0", b"hello")
    console.say("ready")
    pump(console.output)
    assert pipe.text() == "synth-0  | hello\nready\n"


def test_colour_is_around_the_name_alone(pipe: Pipe) -> None:
    console = Console(Output(pipe.write_fd), LogFormat.TEXT, colour=True, names=["synth-0"])
    console.child("synth-0", b"hello")
    pump(console.output)
    assert pipe.text() == "\x1b[36msynth-0  | \x1b[0mhello\n"


def test_every_line_is_json_in_json_mode(pipe: Pipe) -> None:
    console = Console(Output(pipe.write_fd), LogFormat.JSON, colour=False, names=["synth-0"])
    console.child("synth-0", b'{"level":"info","message":"a"}')
    console.child("synth-0", b"Segmentation fault \xff")
    console.say("  x ready", event="child_ready", seconds=0.5)
    pump(console.output)
    first, second, third = map(json.loads, pipe.text().splitlines())
    assert first == {"process": "synth-0", "level": "info", "message": "a"}
    assert (second["process"], second["message"]) == ("synth-0", "Segmentation fault \ufffd")
    assert (third["process"], third["message"], third["seconds"]) == ("omnipipe", "x ready", 0.5)
