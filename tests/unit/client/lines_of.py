"""What a server of /generate sends, for tests."""

import base64
import json

__all__ = ["document", "line"]


def line(modality: str, data: bytes | str, end: str = "\n", **metadata: object) -> bytes:
    """`data` as bytes is put into base64; as text it is sent as it stands."""
    payload = data if isinstance(data, str) else base64.b64encode(data).decode()
    return (json.dumps({"modality": modality, "data": payload, "metadata": metadata}) + end).encode()


def document(**outputs: list[tuple[bytes, dict[str, object]]]) -> bytes:
    told = {
        modality: [{"data": base64.b64encode(data).decode(), "metadata": metadata} for data, metadata in entries]
        for modality, entries in outputs.items()
    }
    return json.dumps({"request_id": "r-1", "outputs": told}).encode()
