"""P9: from the command `omnipipe serve` to the first byte of a streamed answer, with a process for each echo stage; and
to the first word of `builtin://tiny-chat`, whose stage imports torch and loads a model.

Beside them, in turns, the least that any Python process can take: one that imports FastAPI and uvicorn and answers from
memory, and one that imports transformers, loads the same model and generates one token. Page caches are warm in all;
each run is a fresh set of processes.
"""

import argparse
import http.client
import json
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from bench.row import Row

from omnipipe.weights import resolve

__all__ = ["rows"]

_GOAL_S = 1.5
_CHAT_GOAL_S = 5.0
_GIVE_UP_S = 60.0
_ECHO = """\
apiVersion: omnipipe.dev/v1alpha1
kind: OmniPipeline
metadata: {name: echo}
spec:
  model: {family: echo}
"""
_BARE = """
import socket, fastapi, uvicorn
from fastapi.responses import StreamingResponse
app = fastapi.FastAPI()
@app.post("/v1/chat/completions")
async def chat() -> StreamingResponse:
    return StreamingResponse(iter(["data: {}\\n\\n"]), media_type="text/event-stream")
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen()
class Server(uvicorn.Server):
    async def startup(self, sockets=None):
        await super().startup(sockets)
        print(f"ready: http://127.0.0.1:{listener.getsockname()[1]}/v1", flush=True)
Server(uvicorn.Config(app, log_level="error", lifespan="off")).run([listener])
"""
_CHAT = """\
apiVersion: omnipipe.dev/v1alpha1
kind: OmniPipeline
metadata: {name: chat}
spec:
  model: {family: llm, source: "builtin://tiny-chat"}
"""
_BARE_CHAT = """
import sys, torch
from transformers import AutoModelForCausalLM, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
model = AutoModelForCausalLM.from_pretrained(sys.argv[1])
messages = [{"role": "user", "content": "What is 2 + 3?"}]
ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
model.generate(**ids, max_new_tokens=1, do_sample=False)
"""


def _body(model: str) -> str:
    return json.dumps({"model": model, "stream": True, "messages": [{"role": "user", "content": "What is 2 + 3?"}]})


def rows(runs: int = 7, only: Sequence[str] = ()) -> list[Row]:
    measures = {"echo": _echo, "chat": _chat}
    return [measure(runs) for name, measure in measures.items() if not only or name in only]


def _chat(runs: int) -> Row:
    bare = [sys.executable, "-c", _BARE_CHAT, str(resolve("builtin://tiny-chat"))]
    with tempfile.TemporaryDirectory() as folder:
        manifest = Path(folder) / "chat.yaml"
        manifest.write_text(_CHAT)
        ours = [sys.executable, "-m", "omnipipe", "serve", str(manifest), "--port", "0"]
        once(ours, "chat")
        pairs = [(once(ours, "chat"), _process_s(bare)) for _ in range(runs)]
    figure, baseline = (statistics.median(column) for column in zip(*pairs, strict=True))
    worst = max(pair[0] for pair in pairs)
    return Row(
        id="P9",
        work="omnipipe serve (tiny-chat) to first word",
        figure=f"{figure:.2f} s (worst of {runs}: {worst:.2f} s)",
        baseline=f"{baseline:.2f} s: transformers, import to first token",
        ratio=figure / baseline,
        goal=f"<= {_CHAT_GOAL_S} s",
        met=figure <= _CHAT_GOAL_S,
    )


def _process_s(command: list[str]) -> float:
    start = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    return time.monotonic() - start


def _echo(runs: int) -> Row:
    with tempfile.TemporaryDirectory() as folder:
        manifest = Path(folder) / "echo.yaml"
        manifest.write_text(_ECHO)
        ours = [sys.executable, "-m", "omnipipe", "serve", str(manifest), "--port", "0"]
        bare = [sys.executable, "-c", _BARE]
        once(ours)  # compiles what has no .pyc yet
        pairs = [(once(ours), once(bare)) for _ in range(runs)]
    figure, baseline = (statistics.median(column) for column in zip(*pairs, strict=True))
    worst = max(pair[0] for pair in pairs)
    return Row(
        id="P9",
        work="omnipipe serve (echo, 5 stages) to first byte",
        figure=f"{figure:.2f} s (worst of {runs}: {worst:.2f} s)",
        baseline=f"{baseline:.2f} s: one bare FastAPI process",
        ratio=figure / baseline,
        goal=f"<= {_GOAL_S} s",
        met=figure <= _GOAL_S,
    )


def once(command: list[str], model: str = "echo") -> float:
    """Seconds from starting the command to the first word of a streamed answer."""
    start = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            url = next((line.split()[1] for line in server.stdout if line.startswith("ready: ")), None)
            if url is None:
                raise RuntimeError(f"{' '.join(command[:4])} did not become ready")
            until = time.monotonic() + _GIVE_UP_S
            while not _first_word(url, model) and time.monotonic() < until:
                time.sleep(0.02)
            return time.monotonic() - start
        finally:
            server.send_signal(signal.SIGTERM)
            server.stdout.read()
            server.wait(30)


def _first_word(url: str, model: str) -> bool:
    """False: the server is not there yet, and says so, as clients are told to try again."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    try:
        connection.request("POST", "/v1/chat/completions", _body(model), {"content-type": "application/json"})
        response = connection.getresponse()
        if response.status == 503:
            return False
        if response.status != 200:
            raise RuntimeError(f"no answer: {response.status} {response.read(200)!r}")
        for line in response:
            if line.startswith(b"data: {"):
                choices = json.loads(line[6:]).get("choices")
                if not choices or choices[0]["delta"].get("content"):  # the bare process says `{}`
                    return True
        raise RuntimeError("the answer has no word")
    finally:
        connection.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("only", nargs="*", help="echo, chat")
    given = parser.parse_args()
    for row in rows(given.runs, given.only):
        print(row)
