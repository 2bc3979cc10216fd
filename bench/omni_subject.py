"""The two that P7 compares: `omnipipe serve` of tiny-omni, looked at from outside, and transformers' own generate."""

import os
import re
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import psutil
import torch
from bench import soak_server
from bench.soak_server import Holding
from PIL import Image
from transformers import Qwen3OmniMoeForConditionalGeneration, Qwen3OmniMoeProcessor

from omnipipe.engines.kernels.native import NativeKernels
from omnipipe.weights import resolve

__all__ = ["MODEL", "MOST_FRAMES", "MOST_TOKENS", "Generated", "Reference", "Subject", "Used", "serve"]

MODEL = "omni"
MOST_TOKENS, MOST_FRAMES = 64, 128
"""Of one answer; tiny-omni ends its own long before."""
_SOURCE = "builtin://tiny-omni"
_MANIFEST = f"""\
apiVersion: omnipipe.dev/v1alpha1
kind: OmniPipeline
metadata: {{name: {MODEL}}}
spec:
  model: {{family: qwen3_omni, source: "{_SOURCE}"}}
  stages:
    - {{name: thinker, engine: {{kvBytes: 67108864}}}}
    - {{name: talker, engine: {{kvBytes: 67108864}}}}
  transport: {{deadAfterSeconds: 10}}
"""
_START_S = 120.0
_BUILD_S = 300.0
_THREADS = 1
"""Of each process, on both sides: the matrices are small, and six stages share the cores."""
_STOP_S = 30.0
_STEP = re.compile(r'^omnipipe_stage_step_seconds_sum\{.*stage="([^"]+)".*\} (\S+)$', re.MULTILINE)


@dataclass(frozen=True)
class Used:
    """CPU seconds, so far."""

    cpu_s: float
    engines_cpu_s: float


class Subject:
    def __init__(self, process: subprocess.Popen[str], url: str, events: Path) -> None:
        self._process = process
        self.url = url
        self.events = events

    def holding(self) -> dict[str, Holding]:
        """What each process holds: the supervisor, the gateway, `thinker-0`."""
        return soak_server.Subject(self._process, self.url).holding()

    def steps_s(self) -> dict[str, float]:
        """Stage -> wall time in engine steps, so far. To be asked outside of what is measured: it is work for the
        gateway."""
        with urlopen(self.url.removesuffix("/v1") + "/metrics", timeout=10) as page:
            return {stage: float(value) for stage, value in _STEP.findall(page.read().decode())}

    def used(self) -> Used:
        engines = set(self.engines())
        seconds = {task: _cpu_s(task) for process in self._children() for task in _tasks(process)}
        return Used(sum(seconds.values()), sum(seconds.get(task, 0.0) for task in engines))

    def engines(self) -> list[Path]:
        """The threads that engines and the libraries below them compute in: their folders in /proc."""
        return [
            task
            for process in self._children()
            if "--stage" in process.cmdline()
            for task in _tasks(process)
            if task.name != str(process.pid) and not (task / "comm").read_text().startswith("ZMQ")
        ]

    def _children(self) -> list[psutil.Process]:
        return psutil.Process(self._process.pid).children()


def _tasks(process: psutil.Process) -> list[Path]:
    return list(Path(f"/proc/{process.pid}/task").iterdir())


def _cpu_s(task: Path) -> float:
    return int((task / "schedstat").read_text().split()[0]) / 1e9


@contextmanager
def serve(folder: Path) -> Iterator[Subject]:
    """Events are written of the requests that ask for it. The kernels are built before, where they can be."""
    kernels = NativeKernels()
    kernels.start()
    kernels.wait(_BUILD_S)
    manifest, events = folder / "omni.yaml", folder / "events"
    manifest.write_text(_MANIFEST)
    words = ["serve", manifest, "--port", "0", "--no-access-log", "--log-level", "warning"]
    words += ["--events-dir", events, "--events-of", "asked"]
    with (folder / "out").open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "omnipipe", *map(str, words)],
            stdout=out,
            stderr=out,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": str(_THREADS)},
        )
    try:
        yield Subject(process, _wait_ready(process, folder / "out"), events)
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_ready(process: subprocess.Popen[str], out: Path) -> str:
    end = time.monotonic() + _START_S
    while not (ready := re.search(r"^ready: (http\S+)", out.read_text(), re.MULTILINE)):
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"omnipipe serve did not become ready:\n{out.read_text()}")
        time.sleep(0.05)
    return ready[1]


@dataclass(frozen=True)
class Generated:
    text: str
    took_s: float
    cpu_s: float


class Reference:
    """generate(), one request after another, greedy as the pipeline is asked to be."""

    def __init__(self) -> None:
        torch.set_num_threads(_THREADS)
        folder = resolve(_SOURCE)
        load: Any = Qwen3OmniMoeForConditionalGeneration.from_pretrained
        self._processor: Any = Qwen3OmniMoeProcessor.from_pretrained(folder)
        self._model = load(folder, dtype=torch.float32).eval()
        self._model.talker.config.audio_config = self._model.config.thinker_config.audio_config

    def speak(self, question: str, image: Image.Image | None) -> Generated:
        """Seconds are those of generate alone: templates and processors are not counted."""
        content = [*([{"type": "image"}] if image else []), {"type": "text", "text": question}]
        text = self._processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
        )
        inputs = self._processor(text=text, return_tensors="pt", **({"images": [image]} if image else {}))
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")  # it warns of its own defaults
            begun, cpu = time.perf_counter(), time.process_time()
            tokens, _ = self._model.generate(
                **inputs,
                thinker_max_new_tokens=MOST_TOKENS,
                thinker_eos_token_id=self._model.config.im_end_token_id,
                thinker_do_sample=False,
                talker_do_sample=False,
                talker_max_new_tokens=MOST_FRAMES,
            )
            took, cpu = time.perf_counter() - begun, time.process_time() - cpu
        new = tokens[0, inputs["input_ids"].shape[1] :]
        return Generated(self._processor.tokenizer.decode(new, skip_special_tokens=True), took, cpu)
