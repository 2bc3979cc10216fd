"""`make demo`: serves two models that ship with the package and asks both with the OpenAI SDK.

The small chat model does two sums. The small omni model is shown a picture and says what it sees, in text and in tones
as they come; the picture, the sound and a drawing of its wave are saved. Exits with 0 only when the answers were right,
the sound says what the text says, and everything ended cleanly.
"""

import base64
import io
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

import numpy as np
from openai import OpenAI
from PIL import Image, ImageDraw

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))  # the recipe of the omni model is not in the package; its decoder reads the tones back

from tools.tiny_omni.tones import RATE_HZ, SYMBOL_S, decode, spoken  # noqa: E402

SUMS = (("How much is 9 plus 15?", "24"), ("Ann has 4 cups and finds 3 more. How many cups does Ann have now?", "7"))
QUESTION, SEEN = "What is in the picture?", ("red", "circle")
START_S = 180.0
"""Seven stages import torch, on a machine that may have two cores."""
STOP_S = 30.0


def main() -> int:
    folder = Path(tempfile.gettempdir()) / "omnipipe-demo"
    folder.mkdir(exist_ok=True)
    picture = folder / "picture.png"
    draw_picture().save(picture)
    with serving() as url:
        wrong = [question for question, right in SUMS if right not in chat(url, question)]
        text, sound = look(url, picture)
    if wrong:
        return failed(f"the answer to {wrong[0]!r} was wrong")
    if not all(word in text for word in SEEN):
        return failed(f"{text!r} is not what is in the picture")
    heard = decode(np.frombuffer(sound, "<i2").astype(np.float32) / np.float32(32767))
    if heard.rstrip() != spoken(text).rstrip():
        return failed(f"the sound says {heard!r}")
    save(sound, folder / "answer.wav")
    draw_wave(np.frombuffer(sound, "<i2"), heard, folder / "answer.png")
    seconds = len(sound) / 2 / RATE_HZ
    print(f"the {seconds:.1f} s of tones say the same: {heard!r}")
    print(f"saved {picture}, answer.wav and answer.png, a drawing of its wave")
    return 0


def failed(why: str) -> int:
    print(f"demo: {why}", file=sys.stderr)
    return 1


def chat(url: str, question: str) -> str:
    """One streamed chat with the model; prints the tokens as they come."""
    print(f"\n>>> {question}\n")
    answer = ""
    with OpenAI(base_url=url, api_key="none", timeout=30) as client:
        stream = client.chat.completions.create(
            model="chat", messages=[{"role": "user", "content": question}], temperature=0, stream=True
        )
        for chunk in stream:
            for choice in chunk.choices:
                answer += choice.delta.content or ""
                print(choice.delta.content or "", end="", flush=True)
    print()
    return answer


def look(url: str, picture: Path) -> tuple[str, bytes]:
    """A picture in; text and sound out, as they come."""
    print(f"\n>>> {QUESTION}  ({picture})\n")
    words, sound = "", b""
    image = f"data:image/png;base64,{base64.b64encode(picture.read_bytes()).decode()}"
    with OpenAI(base_url=url, api_key="none", timeout=60) as client:
        stream = client.chat.completions.create(
            model="omni",
            messages=[
                {
                    "role": "user",
                    "content": [
                        {"type": "image_url", "image_url": {"url": image}},
                        {"type": "text", "text": QUESTION},
                    ],
                }
            ],
            temperature=0,
            modalities=["text", "audio"],
            audio={"voice": "ethan", "format": "pcm16"},
            stream=True,
            extra_body={"talker_do_sample": False},
        )
        for chunk in stream:
            for choice in chunk.choices:
                # as a plain dict, for newer SDKs have a type for it and older ones have not
                audio = cast("dict[str, str]", choice.delta.to_dict().get("audio") or {})
                said = choice.delta.content or audio.get("transcript") or ""
                words += said
                sound += base64.b64decode(audio.get("data") or "")
                print(said, end="", flush=True)
    print("\n")
    return words, sound


def draw_picture() -> Image.Image:
    big = Image.new("RGB", (512, 512), (255, 255, 255))
    ImageDraw.Draw(big).ellipse((120, 100, 400, 380), fill=(220, 30, 30))
    return big.resize((128, 128), Image.Resampling.BOX)


def draw_wave(samples: "np.ndarray[tuple[int], np.dtype[np.int16]]", text: str, where: Path) -> None:
    """The loudest and the quietest of each column's samples, and below each character its letter."""
    width, height, each = 1000, 180, round(RATE_HZ * SYMBOL_S)
    picture = Image.new("RGB", (width, height), (255, 255, 255))
    pen = ImageDraw.Draw(picture)
    for x in range(width):
        column = samples[
            len(samples) * x // width : max(len(samples) * (x + 1) // width, len(samples) * x // width + 1)
        ]
        low, high = (80 - int(value) * 70 // 32768 for value in (column.min(), column.max()))
        pen.line((x, high, x, low), fill=(40, 70, 220))
    for place, character in enumerate(text):
        pen.text((width * (place * each + each / 3) / len(samples), 155), character, fill=(15, 15, 15))
    picture.save(where)


def save(sound: bytes, where: Path) -> None:
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(1)
        written.setsampwidth(2)
        written.setframerate(RATE_HZ)
        written.writeframes(sound)
    where.write_bytes(file.getvalue())


@contextmanager
def serving() -> Iterator[str]:
    """`omnipipe serve` of both on a free port, its log shown; stopped with Ctrl-C's signal, and 0 is asked of it."""
    files = [os.path.relpath(ROOT / "examples" / name) for name in ("chat.yaml", "omni.yaml")]
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
            raise SystemExit(f"demo: the pipelines were not ready within {START_S:.0f} s") from None
        if not line:
            raise SystemExit("demo: the pipelines could not be started")
        if line.startswith("ready: "):
            return line.split()[1]


if __name__ == "__main__":
    sys.exit(main())
