"""Text in, text out: whole, as a stream, and what goes wrong. Against `omnipipe serve examples/echo.yaml`."""

import os

from omnipipe.client import BadRequest, OmnipipeClient, TextChunk

with OmnipipeClient(os.environ.get("OMNIPIPE_URL", "http://localhost:8000")) as client:
    print(client.chat("Hello, who is there?").text)

    with client.stream(text="One word after the other") as stream:
        for event in stream:
            if isinstance(event, TextChunk):
                print(event.text, end="|", flush=True)
    print()

    try:
        client.chat("Hello!", temperature="hot")
    except BadRequest as error:
        print(error.param, "is wrong")
