"""Media arguments to uploads: a name that tells the server what it is, and the bytes.

Everything is read here, before anything is sent: a file that is not there is the caller's error, and a second try
needs the bytes again.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from omnipipe.client.sniff import HEAD_BYTES, MIME, Kind, kinds_of, sniff

__all__ = ["Media", "MediaItem", "Upload", "reads_files", "uploads"]

Buffer = bytes | bytearray | memoryview
MediaItem = str | os.PathLike[str] | Buffer | tuple[str, Buffer] | IO[bytes]
"""A path, the bytes themselves, `(file name, bytes)`, or an open binary file."""
Media = MediaItem | Sequence[MediaItem]

_NAMED: Mapping[Kind, str] = {"image": "a picture", "audio": "sound", "video": "a film"}
_ARGUMENT: Mapping[Kind, str] = {"image": "images", "audio": "audio", "video": "video"}


@dataclass(frozen=True, slots=True)
class Upload:
    name: str
    content: bytes
    mime: str


def reads_files(media: Media | None) -> bool:
    """Whether `uploads` would wait for a disk."""
    return media is not None and not all(isinstance(item, Buffer | tuple) for item in _items(media))


def uploads(kind: Kind, media: Media | None) -> list[Upload]:
    """Raises OSError, ValueError or TypeError; the latter two name the argument and which item."""
    return [_upload(kind, index, item) for index, item in enumerate(() if media is None else _items(media))]


def _items(media: Media) -> list[MediaItem]:
    if isinstance(media, tuple) and _is_named(media):
        return [cast(MediaItem, media)]
    if isinstance(media, list | tuple):
        return list(media)
    return [cast(MediaItem, media)]  # what it cannot be is said when it is read


def _is_named(item: tuple[object, ...]) -> bool:
    return len(item) == 2 and isinstance(item[0], str) and isinstance(item[1], Buffer)


def _upload(kind: Kind, index: int, item: MediaItem) -> Upload:
    where = f"{_ARGUMENT[kind]}[{index}]"
    name, content = _read(where, item)
    extension = name.rpartition(".")[2].lower() if "." in name else ""
    if extension not in MIME:
        extension = _sniffed(where, kind, name, content)
        name = f"{name or f'{kind}_{index}'}.{extension}"
    elif kind not in kinds_of(extension):
        raise ValueError(f"{where}: {name} is not {_NAMED[kind]}, by its name")
    return Upload(name, content, _mime(kind, extension))


def _sniffed(where: str, kind: Kind, name: str, content: bytes) -> str:
    found = sniff(content[:HEAD_BYTES])
    if found is None:
        raise ValueError(
            f"{where}: {f'neither the name {name} nor' if name else 'nothing in'} the bytes say what it is; "
            f"give (name, bytes) with one of the extensions {', '.join(sorted(MIME))}"
        )
    if kind not in kinds_of(found):
        raise ValueError(f"{where}: not {_NAMED[kind]}, the bytes are {found}")
    if kind == "audio" and found == "mp4":
        return "m4a"  # the same container; under this name it is taken for sound
    return found


def _mime(kind: Kind, extension: str) -> str:
    """Says the modality, too: `audio/webm` for a film given for its sound."""
    return f"{kind}/{MIME[extension].partition('/')[2]}"


def _read(where: str, item: MediaItem) -> tuple[str, bytes]:
    if isinstance(item, tuple) and _is_named(item):
        return item[0], bytes(item[1])
    if isinstance(item, Buffer):
        return "", bytes(item)
    if isinstance(item, str | os.PathLike):
        if "://" in str(item) or str(item).startswith("data:"):
            raise ValueError(f"{where}: a URL is no path; fetch it and give the bytes")
        path = Path(item)
        return path.name, path.read_bytes()
    if isinstance(item, tuple) or not hasattr(item, "read"):
        raise TypeError(
            f"{where}: a path, bytes, a (name, bytes) pair or an open binary file, not {type(item).__name__}"
        )
    data = item.read()
    if not isinstance(data, Buffer):
        raise TypeError(f"{where}: the file is open as text; open it with mode 'rb'")
    name = getattr(item, "name", "")
    return Path(name).name if isinstance(name, str) else "", bytes(data)
