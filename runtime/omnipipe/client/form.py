"""The arguments of `generate` to the form that POST /generate takes."""

import json
from collections.abc import Mapping, Sequence

from omnipipe.client.media import Media, uploads
from omnipipe.client.setup import Call

__all__ = ["Modalities", "generate_call"]

Modalities = str | Sequence[str]
"""`"text"`, `"text,audio"` or `["text", "audio"]`."""


def generate_call(
    *,
    text: str | None,
    images: Media | None,
    audio: Media | None,
    video: Media | None,
    output_modalities: Modalities,
    input_modalities: Modalities | None,
    stream: bool,
    request_id: str | None,
    model: str | None,
    model_kwargs: Mapping[str, object],
) -> Call:
    """Reads the files. Raises OSError, ValueError or TypeError for what cannot be sent."""
    if text is not None and not isinstance(text, str):
        raise TypeError(f"the prompt is one text, not {type(text).__name__}; a list of messages is for OpenAI's client")
    fields = {
        "model": model,
        "text": text,
        "input_modalities": None if input_modalities is None else _listed("input_modalities", input_modalities),
        "output_modalities": _listed("output_modalities", output_modalities),
        "streaming": "true" if stream else "false",
        "request_id": request_id,
        "model_kwargs": _json(model_kwargs),
    }
    files = (*uploads("image", images), *uploads("audio", audio), *uploads("video", video))
    return Call(
        "POST", "/generate", {name: value for name, value in fields.items() if value is not None}, files, stream
    )


def _listed(name: str, modalities: Modalities) -> str:
    names = modalities.split(",") if isinstance(modalities, str) else list(modalities)
    names = [name.strip() for name in names]
    if not names or not all(names):
        raise ValueError(f"{name} names at least one modality, such as text or audio, not {modalities!r}")
    return ",".join(names)


def _json(model_kwargs: Mapping[str, object]) -> str | None:
    """None for a parameter is as good as leaving it out."""
    given = {name: value for name, value in model_kwargs.items() if value is not None}
    for name, value in given.items():
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise type(error)(f"{name} is sent as JSON, and is none: {error}") from error
    return json.dumps(given, ensure_ascii=False) if given else None
