"""P9: from the command `omnipipe serve` to the first byte of a streamed answer, with a process for each echo stage.

Beside it, in turns, the least that any Python gateway can take: one process that imports FastAPI and uvicorn and
answers from memory. Page caches are warm in both; each run is a fresh set of processes.
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
from pathlib import Path
from urllib.parse import urlsplit

from bench.row import Row

__all__ = ["rows"]

_GOAL_S = 1.5
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
_BODY = json.dumps({"model": "echo", "stream": True, "messages": [{"role": "user", "content": "first byte"}]})


def rows(runs: int = 7) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        manifest = Path(folder) / "echo.yaml"
        manifest.write_text(_ECHO)
        ours = [sys.executable, "-m", "omnipipe", "serve", str(manifest), "--port", "0"]
        bare = [sys.executable, "-c", _BARE]
        once(ours)  # compiles what has no .pyc yet
        pairs = [(once(ours), once(bare)) for _ in range(runs)]
    figure, baseline = (statistics.median(column) for column in zip(*pairs, strict=True))
    worst = max(pair[0] for pair in pairs)
    row = Row(
        id="P9",
        work="omnipipe serve (echo, 5 stages) to first byte",
        figure=f"{figure:.2f} s (worst of {runs}: {worst:.2f} s)",
        baseline=f"{baseline:.2f} s: one bare FastAPI process",
        ratio=figure / baseline,
        goal=f"<= {_GOAL_S} s",
        met=figure <= _GOAL_S,
    )
    return [row]


def once(command: list[str]) -> float:
    """Seconds from starting the command to the first byte of the body of a streamed answer."""
    start = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            url = next((line.split()[1] for line in server.stdout if line.startswith("ready: ")), None)
            if url is None:
                raise RuntimeError(f"{' '.join(command[:4])} did not become ready")
            _first_byte(url)
            return time.monotonic() - start
        finally:
            server.send_signal(signal.SIGTERM)
            server.stdout.read()
            server.wait(30)


def _first_byte(url: str) -> None:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    try:
        connection.request("POST", "/v1/chat/completions", _BODY, {"content-type": "application/json"})
        response = connection.getresponse()
        if response.status != 200 or not response.read(1):
            raise RuntimeError(f"no answer: {response.status} {response.read(200)!r}")
    finally:
        connection.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    for row in rows(parser.parse_args().runs):
        print(row)
