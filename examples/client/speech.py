"""Text in, sound out: saved as one file, and as it comes. Against `omnipipe serve examples/echo.yaml`."""

import os
import sys
from pathlib import Path

from omnipipe.client import AudioChunk, OmnipipeClient, TextChunk

folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")

with OmnipipeClient(os.environ.get("OMNIPIPE_URL", "http://localhost:8000")) as client:
    sound = client.tts("Good morning to all of you", voice="alloy")
    sound.to_wav(folder / "morning.wav")
    print(f"{sound.duration:.2f} s at {sound.sample_rate} Hz")

    with client.stream(text="Both at once", output_modalities=["text", "audio"]) as stream:
        for event in stream:
            match event:
                case TextChunk():
                    pass  # show it
                case AudioChunk():
                    pass  # play event.pcm, or event.to_numpy()
        answer = stream.result
    print(answer.text, len(answer.sound()), "samples")
