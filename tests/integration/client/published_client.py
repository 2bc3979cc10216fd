"""Runs M*'s own published client against a server, as its documentation shows it. Prints what it got as JSON."""

import json
import sys
from typing import Any


def main(url: str) -> dict[str, Any]:
    from mstar import MStarClient  # type: ignore[import-not-found]  # fetched for this test alone

    client = MStarClient(url)
    spoken = client.tts("hi there", voice="alloy")
    both = client.chat("hello there world", output_modalities=("text", "audio"), max_output_tokens=2)
    events = list(client.stream(text="eine Schildkröte 龟", output_modalities=("text", "audio"), request_id="mine"))
    chunks = [event for event in events if type(event).__name__ == "AudioChunk"]
    return {
        "health": client.health(),
        "text": client.generate(text="hello there", request_id="mine").text,
        "request_id": client.generate(text="hello", request_id="mine").request_id,
        "spoken": [len(spoken), spoken.sample_rate],
        "both": [both.text, len(both.audio)],
        "streamed": "".join(event.text for event in events if type(event).__name__ == "TextChunk"),
        "sound": [sum(len(chunk.pcm) for chunk in chunks) // 2, sorted({chunk.sample_rate for chunk in chunks})],
        "refused": _refused(lambda: client.generate(text="hi", images=b"\x89PNG\r\n\x1a\n" + bytes(32))),
        "unknown": _refused(lambda: client.chat("hi", heat=1)),
        "down": MStarClient("http://127.0.0.1:9").health(),
    }


def _refused(call: Any) -> int:
    try:
        call()
    except Exception as error:  # whatever the published client makes of it
        return int(getattr(getattr(error, "response", None), "status_code", 0))
    return 200


if __name__ == "__main__":
    json.dump(main(sys.argv[1]), sys.stdout)
