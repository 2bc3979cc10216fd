"""What a file is, by its first bytes: servers may tell modalities apart by file names, so bytes need one."""

from typing import Literal

__all__ = ["HEAD_BYTES", "MIME", "Kind", "kinds_of", "sniff"]

Kind = Literal["image", "audio", "video"]

HEAD_BYTES = 512
"""So much of a file is looked at."""

MIME: dict[str, str] = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "bmp": "image/bmp",
    "tiff": "image/tiff",
    "tif": "image/tiff",
    "gif": "image/gif",
    "avif": "image/avif",
    "heic": "image/heic",
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
    "flac": "audio/flac",
    "ogg": "audio/ogg",
    "opus": "audio/ogg",
    "m4a": "audio/mp4",
    "aac": "audio/aac",
    "mp4": "video/mp4",
    "avi": "video/x-msvideo",
    "mov": "video/quicktime",
    "mkv": "video/x-matroska",
    "webm": "video/webm",
}
"""Extension -> type, for all that is recognised. Order matters to no one."""

_IMAGE_BRANDS = {b"avif": "avif", b"avis": "avif", b"heic": "heic", b"heix": "heic", b"mif1": "heic"}


def kinds_of(extension: str) -> frozenset[Kind]:
    """What a file of this extension can be given as. Films carry sound; ogg can carry a film."""
    kind = MIME.get(extension.lower(), "").partition("/")[0]
    if kind == "video":
        return frozenset({"video", "audio"})
    if extension.lower() == "ogg":
        return frozenset({"audio", "video"})
    return frozenset({"image"}) if kind == "image" else frozenset({"audio"}) if kind == "audio" else frozenset()


def sniff(head: bytes) -> str | None:
    """The extension of what begins like this, one of `MIME`; None: unknown."""
    for signature, extension in _SIGNATURES:
        if head.startswith(signature):
            return extension
    if head[4:8] == b"ftyp":
        return _of_brand(head[8:12])
    match head[:4], head[8:12]:
        case b"RIFF" | b"RF64", b"WAVE":
            return "wav"
        case b"RIFF", b"WEBP":
            return "webp"
        case b"RIFF", b"AVI ":
            return "avi"
        case b"\x1a\x45\xdf\xa3", _:
            return "webm" if b"webm" in head[:64] else "mkv"
    if head[:2] == b"BM" and head[6:10] == bytes(4):
        return "bmp"
    return _of_frame(head)


_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpg"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"fLaC", "flac"),
    (b"OggS", "ogg"),
    (b"ID3", "mp3"),
)


def _of_brand(brand: bytes) -> str:
    """Of an ISO container (mp4 and its relatives)."""
    if brand in _IMAGE_BRANDS:
        return _IMAGE_BRANDS[brand]
    return "mov" if brand == b"qt  " else "m4a" if brand[:3] == b"M4A" else "mp4"


def _of_frame(head: bytes) -> str | None:
    """Sound without a container: eleven set bits, then what kind of MPEG frame follows."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    if layer == 0:
        return "aac" if head[1] & 0xF0 == 0xF0 else None
    return None if version == 1 or head[2] >> 4 == 15 else "mp3"
