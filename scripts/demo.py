"""`make demo`: serves two pipelines that need no download, asks the small chat model two things with the OpenAI SDK,
then lets the echo pipeline say something, shows the words as they come and saves the sound. Exits with 0 only when the
answers were right and everything ended cleanly."""

import base64
import os
import signal
import subprocess
import sys
import tempfile
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic
from typing import cast

from openai import OpenAI

EXAMPLES = Path(__file__).parent.parent / "examples"
SUMS = (("How much is 9 plus 15?", "24"), ("Ann has 4 cups and finds 3 more. How many cups does Ann have now?", "7"))
QUESTION = "Every word of this answer went through five processes, and each has a tone of its own."
START_S = 60.0
STOP_S = 20.0
SAMPLE_RATE_HZ = 24_000
WORD_MS = 60
"""The echo pipeline is too quick to watch: it is asked to take this long over each word."""


def main() -> int:
    with serving() as url:
        wrong = [question for question, right in SUMS if right not in chat(url, question)]
        text, sound = ask(url)
    if wrong:
        print(f"demo: the answer to {wrong[0]!r} was wrong", file=sys.stderr)
        return 1
    if text.split() != QUESTION.split():
        print(f"demo: the answer should have been the question, it was {text!r}", file=sys.stderr)
        return 1
    where = Path(tempfile.gettempdir()) / "omnipipe-demo.wav"
    save(sound, where)
    print(f"saved what it said, {len(sound) / 2 / SAMPLE_RATE_HZ:.1f} s of tones, as {where}")
    return 0


def chat(url: str, question: str) -> str:
    """One streamed chat with the model; prints the tokens as they come."""
    print(f"\n>>> {question}\n")
    answer = ""
    with OpenAI(base_url=url, api_key="none", max_retries=0, timeout=30) as client:
        stream = client.chat.completions.create(
            model="chat", messages=[{"role": "user", "content": question}], temperature=0, stream=True
        )
        for chunk in stream:
            for choice in chunk.choices:
                answer += choice.delta.content or ""
                print(choice.delta.content or "", end="", flush=True)
    print()
    return answer


def ask(url: str) -> tuple[str, bytes]:
    """One streamed chat; prints the words as they come. With audio asked for they are its transcript."""
    print('\n>>> client.chat.completions.create(model="assistant", stream=True, modalities=["text", "audio"], ...)\n')
    words: list[str] = []
    sound = b""
    with OpenAI(base_url=url, api_key="none", max_retries=0, timeout=30) as client:
        stream = client.chat.completions.create(
            model="assistant",
            messages=[{"role": "user", "content": QUESTION}],
            modalities=["text", "audio"],
            audio={"voice": "alloy", "format": "pcm16"},
            stream=True,
            extra_body={"stage_params": {"compose": {"delay_ms": WORD_MS}}},
        )
        for chunk in stream:
            for choice in chunk.choices:
                # as a plain dict, for newer SDKs have a type for it and older ones have not
                audio = cast("dict[str, str]", choice.delta.to_dict().get("audio") or {})
                word = choice.delta.content or audio.get("transcript") or ""
                words.append(word)
                print(word, end="", flush=True)
                sound += base64.b64decode(audio.get("data") or "")
    print("\n")
    return "".join(words), sound


def save(sound: bytes, where: Path) -> None:
    with wave.open(str(where), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes(sound)


@contextmanager
def serving() -> Iterator[str]:
    """`omnipipe serve` of both on a free port, its log shown; stopped with Ctrl-C's signal, and 0 is asked of it."""
    files = [os.path.relpath(EXAMPLES / name) for name in ("chat.yaml", "echo.yaml")]
    words = ["serve", *files, "--port", "0", "--log-level", "warning", "--no-access-log"]
    print(f"$ omnipipe {' '.join(words)}")
    server = subprocess.Popen(
        [sys.executable, "-m", "omnipipe", *words], stdout=subprocess.PIPE, start_new_session=True, text=True
    )
    lines: SimpleQueue[str] = SimpleQueue()
    reader = Thread(target=show, args=(server, lines))
    reader.start()
    try:
        yield wait_ready(lines)
    finally:
        server.send_signal(signal.SIGINT)
        try:
            code = server.wait(STOP_S)
        except subprocess.TimeoutExpired:
            server.kill()
            code = server.wait()
        reader.join()
    if code != 0:
        raise SystemExit(f"demo: omnipipe serve exited with {code}")


def show(server: "subprocess.Popen[str]", lines: SimpleQueue[str]) -> None:
    assert server.stdout is not None
    for line in server.stdout:
        print(f"  {line}", end="", flush=True)
        lines.put(line)
    lines.put("")


def wait_ready(lines: SimpleQueue[str]) -> str:
    end = monotonic() + START_S
    while True:
        try:
            line = lines.get(timeout=max(0.0, end - monotonic()))
        except Empty:
            raise SystemExit(f"demo: the pipeline was not ready within {START_S:.0f} s") from None
        if not line:
            raise SystemExit("demo: the pipeline could not be started")
        if line.startswith("ready: "):
            return line.split()[1]


if __name__ == "__main__":
    sys.exit(main())
