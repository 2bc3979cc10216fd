"""The Secret with a pipeline's CURVE keys, in the files that `omnipipe keys DIR` writes.

A Secret is never changed: its name carries the id of its own keys, and a cohort's revision hashes that name. New keys,
whether asked for or because somebody deleted the old, are therefore a new cohort and never a mix of both.
"""

import base64
import hashlib
from collections.abc import Iterable
from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from omnipipe_operator.children import labels, names
from omnipipe_operator.children.meta import metadata
from omnipipe_operator.children.owner import Owner
from omnipipe_operator.observed import Object

__all__ = ["CLIENT_FILES", "current_curve_secret", "new_curve_secret"]

CLIENT_FILES: Final = ("server.pub", "client.pub", "client.key")
"""All that a process which only dials needs."""
_FILES: Final = frozenset({*CLIENT_FILES, "server.key"})
_Z85: Final = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"


def new_curve_secret(owner: Owner, rotation: str = "") -> Object:
    """Fresh keys each time it is called; nothing else in this package is anything but a function of its arguments."""
    server_public, server_secret = _pair()
    client_public, client_secret = _pair()
    keys_id = hashlib.sha256(server_public.encode()).hexdigest()[:8]
    files = {
        "server.pub": server_public,
        "server.key": server_secret,
        "client.pub": client_public,
        "client.key": client_secret,
    }
    head = metadata(owner, names.curve(owner.name, keys_id), labels.Component.CURVE)
    head["annotations"] = {labels.ROTATE_KEYS: rotation}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": head,
        "type": "Opaque",
        "immutable": True,
        "data": {name: base64.b64encode(f"{key}\n".encode()).decode() for name, key in files.items()},
    }


def current_curve_secret(children: Iterable[Object], owner: Owner, rotation: str = "") -> str | None:
    """Name of the Secret to use; None: one has to be made. Of several, which a crash may leave, always the same."""
    found = [
        child["metadata"]
        for child in children
        if child["kind"] == "Secret" and owner.owns(child) and _fits(child, rotation)
    ]
    oldest = min(found, key=lambda head: (head.get("creationTimestamp") or "", head["name"]), default=None)
    return None if oldest is None else str(oldest["name"])


def _fits(secret: Object, rotation: str) -> bool:
    return (
        labels.component_of(secret) == labels.Component.CURVE
        and not secret["metadata"].get("deletionTimestamp")
        and (labels.annotation_of(secret, labels.ROTATE_KEYS) or "") == rotation
        and frozenset(secret.get("data") or ()) >= _FILES
    )


def _pair() -> tuple[str, str]:
    """Public and secret."""
    secret = X25519PrivateKey.generate()
    return _z85(secret.public_key().public_bytes_raw()), _z85(secret.private_bytes_raw())


def _z85(key: bytes) -> str:
    """Four bytes become five characters (ZeroMQ RFC 32)."""
    text = []
    for start in range(0, len(key), 4):
        value = int.from_bytes(key[start : start + 4], "big")
        text += [_Z85[value // 85**power % 85] for power in (4, 3, 2, 1, 0)]
    return "".join(text)
