"""Requests of every sort that the dashboards tell apart, to a pipeline of the echo family, until it is ended: a process
of its own, as its connections come and go. A line on stdout for each round.
"""

import sys
import time

from openai import APIStatusError, OpenAI
from openai.types.chat import ChatCompletionUserMessageParam

_LONGEST_S = 30.0
_PAUSE_S = 0.05


def main() -> None:
    url, model = sys.argv[1:]
    with OpenAI(base_url=url, api_key="none", max_retries=0, timeout=_LONGEST_S) as client:
        while True:
            _stream(client, model)
            _sound(client, model)
            _wrong(client)
            print("round", flush=True)
            time.sleep(_PAUSE_S)


def _said(text: str) -> list[ChatCompletionUserMessageParam]:
    return [{"role": "user", "content": text}]


def _stream(client: OpenAI, model: str) -> None:
    """Long enough for chunks to be acknowledged."""
    with client.chat.completions.create(model=model, messages=_said("word " * 200), stream=True) as chunks:
        for _ in chunks:
            pass


def _sound(client: OpenAI, model: str) -> None:
    with client.chat.completions.create(
        model=model,
        messages=_said("aloud"),
        modalities=["text", "audio"],
        audio={"voice": "alloy", "format": "pcm16"},
        stream=True,
    ) as chunks:
        for _ in chunks:
            pass


def _wrong(client: OpenAI) -> None:
    try:
        client.chat.completions.create(model="nobody", messages=_said("?"))
    except APIStatusError:
        pass


if __name__ == "__main__":
    main()
