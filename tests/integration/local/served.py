"""A real `omnipipe serve`, for tests: started, waited for with deadlines, and looked at from outside."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self, TypeVar

import psutil
from openai import OpenAI
from tests.processes import cmdline, gone

__all__ = ["ECHO", "Served", "all_gone", "eventually", "run_folders"]

T = TypeVar("T")

ECHO = """\
apiVersion: omnipipe.dev/v1alpha1
kind: OmniPipeline
metadata: {name: echo}
spec:
  model: {family: echo}
  transport: {deadAfterSeconds: 5}  # a busy machine may keep a process quiet for a second
"""

DEADLINE_S = 60.0
"""For anything that takes about a second on an idle machine."""


def eventually(look: Callable[[], T], what: str) -> T:
    """The first true answer of `look`."""
    end = time.monotonic() + DEADLINE_S
    while not (seen := look()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {DEADLINE_S:.0f} s: {what}")
        time.sleep(0.02)
    return seen


class Served:
    def __init__(self, logs: Path, *args: str | Path, env: Mapping[str, str] | None = None) -> None:
        self.out_path, self.err_path = logs / "stdout", logs / "stderr"
        with self.out_path.open("wb") as out, self.err_path.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "omnipipe", "serve", *map(str, args)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env={**os.environ, **(env or {})},
                start_new_session=True,
            )
        self.family: list[psutil.Process] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.family = self.family or self.children()
            self.process.kill()
            self.process.wait()
        for process in self.family:
            try:
                process.wait(DEADLINE_S)
            except psutil.Error:
                process.kill()

    @property
    def out(self) -> str:
        return self.out_path.read_text(errors="replace")

    @property
    def err(self) -> str:
        return self.err_path.read_text(errors="replace")

    def wait_for(self, text: str, times: int = 1) -> None:
        """Until the log has it, so many times, in whole lines."""

        def look() -> bool:
            if self.out.rpartition("\n")[0].count(text) >= times:
                return True
            assert self.process.poll() is None, f"ended with {self.process.returncode}:\n{self.out}\n{self.err}"
            return False

        try:
            eventually(look, f"{text!r} in the log")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.out}\n{self.err}") from None

    def wait_until_ready(self, within_s: float = DEADLINE_S) -> None:
        """`within_s`: longer for stages that import torch and transformers, on a busy machine."""
        end = time.monotonic() + within_s
        while "ready: http" not in self.out.rpartition("\n")[0]:
            ended = self.process.poll()
            assert ended is None, f"ended with {ended}:\n{self.out}\n{self.err}"
            assert time.monotonic() < end, f"not ready within {within_s:.0f} s:\n{self.out}\n{self.err}"
            time.sleep(0.05)

    @property
    def url(self) -> str:
        """Of the API, once it is ready."""
        self.wait_for("ready: http")
        if not self.family:
            self.family = self.children()
        line = next(line for line in self.out.splitlines() if line.startswith("ready: http"))
        return line.split()[1]

    def client(self) -> OpenAI:
        return OpenAI(base_url=self.url, api_key="none", max_retries=0, timeout=DEADLINE_S)

    def ask(self, text: str, model: str = "echo") -> str | None:
        with self.client() as client:
            answer = client.chat.completions.create(model=model, messages=[{"role": "user", "content": text}])
        return answer.choices[0].message.content

    def children(self) -> list[psutil.Process]:
        """None, when it has ended."""
        try:
            return psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def child(self, *words: str) -> psutil.Process:
        """The one whose command line has all of them, such as `--stage compose`."""

        def look() -> psutil.Process | None:
            for child in self.children():
                line = cmdline(child)
                if all(word in line for word in words):
                    return child
            return None

        found = eventually(look, f"a child process with {words}")
        assert found is not None
        return found

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        try:
            return self.process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still runs:\n{self.out}\n{self.err}") from None


def run_folders() -> list[Path]:
    """Those of this test session: it has a temporary folder of its own."""
    return list(Path(tempfile.gettempdir()).glob("omnipipe-*"))


def all_gone(processes: Sequence[psutil.Process]) -> bool:
    return all(map(gone, processes))
