"""What bytes are, by their own first bytes: a name or a content type is only a claim.

Also the allow-list: what is not named here is never handed to a decoder, so that formats which read other files
(playlists, SVG) or which nobody needs stay out of reach.
"""

from dataclasses import dataclass
from typing import Final, Literal

from omnipipe.media.boxes import handlers

__all__ = ["MediaKind", "Sniffed", "sniff", "unreadable"]

MediaKind = Literal["image", "audio", "video"]


@dataclass(frozen=True, slots=True)
class Sniffed:
    kind: MediaKind
    mime: str
    reader: str
    """Pillow's name of the format, or FFmpeg's of the demuxer."""


_HEAD: Final = 64 << 10
"""Bytes that are looked through where one look at the beginning does not tell."""

_MAGIC: Final[tuple[tuple[bytes, Sniffed], ...]] = (
    (b"\x89PNG\r\n\x1a\n", Sniffed("image", "image/png", "PNG")),
    (b"\xff\xd8\xff", Sniffed("image", "image/jpeg", "JPEG")),
    (b"GIF87a", Sniffed("image", "image/gif", "GIF")),
    (b"GIF89a", Sniffed("image", "image/gif", "GIF")),
    (b"fLaC", Sniffed("audio", "audio/flac", "flac")),
    (b"FORM", Sniffed("audio", "audio/aiff", "aiff")),
    (b"caff", Sniffed("audio", "audio/x-caf", "caf")),
    (b"#!AMR", Sniffed("audio", "audio/amr", "amr")),
)
_RIFF: Final = {
    b"WAVE": Sniffed("audio", "audio/wav", "wav"),
    b"WEBP": Sniffed("image", "image/webp", "WEBP"),
    b"AVI ": Sniffed("video", "video/x-msvideo", "avi"),
}
_BMP: Final = Sniffed("image", "image/bmp", "BMP")
_AVIF: Final = Sniffed("image", "image/avif", "AVIF")
_MP3: Final = Sniffed("audio", "audio/mpeg", "mp3")
_AAC: Final = Sniffed("audio", "audio/aac", "aac")

_AVIF_BRANDS: Final = (b"avif", b"avis")
_HEIF_BRANDS: Final = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
_OGG_VIDEO: Final = (b"\x80theora", b"OVP80")


def sniff(data: bytes) -> Sniffed | None:
    """None: nothing that is read here."""
    for magic, found in _MAGIC:
        if data.startswith(magic):
            return found if found.reader != "aiff" or data[8:12] in (b"AIFF", b"AIFC") else None
    if data[:4] in (b"RIFF", b"RF64"):
        return _RIFF.get(data[8:12])
    if data[4:8] == b"ftyp" or data[4:8] in (b"moov", b"mdat", b"wide"):
        return _iso(data)
    if data.startswith(b"\x1a\x45\xdf\xa3"):
        return _matroska(data)
    if data.startswith(b"OggS"):
        video = any(mark in data[:_HEAD] for mark in _OGG_VIDEO)
        return Sniffed("video", "video/ogg", "ogg") if video else Sniffed("audio", "audio/ogg", "ogg")
    if data.startswith(b"BM") and len(data) > 18 and data[6:10] == b"\0\0\0\0" and data[15:18] == b"\0\0\0":
        return _BMP
    return _mpeg_audio(data)


def unreadable(data: bytes) -> str:
    """What it is instead, as far as a person would want to know."""
    head = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith(b"%pdf"):
        return "a PDF"
    if head.startswith(b"#extm3u"):
        return "a playlist"
    if b"<svg" in head:
        return "an SVG drawing"
    if head.startswith((b"<!doctype html", b"<html")):
        return "an HTML page"
    if head.startswith(b"pk\x03\x04"):
        return "a ZIP archive"
    if head.startswith((b"ii*\0", b"mm\0*")):
        return "a TIFF"
    if data[4:8] == b"ftyp" and data[8:12] in _HEIF_BRANDS:
        return "a HEIF picture"
    try:
        data[:4096].decode("utf-8")
    except UnicodeDecodeError as error:
        # A character that the look ends in the middle of is no fault.
        return "unknown data" if error.start < min(len(data), 4096) - 3 or len(data) < 16 else "text"
    return "text" if b"\0" not in data[:4096] else "unknown data"


def _iso(data: bytes) -> Sniffed | None:
    """MP4 and its relatives: the same boxes for a photo, a song and a film."""
    brand = data[8:12] if data[4:8] == b"ftyp" else b""
    if brand in _AVIF_BRANDS:
        return _AVIF
    if brand in _HEIF_BRANDS:
        # `mif1` says only that it is some picture; which coding is in the list of further brands.
        return _AVIF if any(other in data[16:64] for other in _AVIF_BRANDS) else None
    tracks = handlers(data)
    if b"vide" not in tracks and (b"soun" in tracks or brand in (b"M4A ", b"M4B ")):
        return Sniffed("audio", "audio/mp4", "mov")
    return Sniffed("video", "video/quicktime" if brand == b"qt  " else "video/mp4", "mov")


def _matroska(data: bytes) -> Sniffed:
    head = data[:_HEAD]
    family = "webm" if b"webm" in head[:64] else "x-matroska"
    kind: MediaKind = "audio" if b"\x86" in head and b"V_" not in head and b"A_" in head else "video"
    return Sniffed(kind, f"{kind}/{family}", "matroska")


def _mpeg_audio(data: bytes) -> Sniffed | None:
    if data.startswith(b"ID3"):
        size = (
            (data[6] & 127) << 21 | (data[7] & 127) << 14 | (data[8] & 127) << 7 | data[9] & 127 if len(data) > 9 else 0
        )
        after = data[10 + size : 14 + size]
        return _AAC if _is_adts(after) else _MP3
    if _is_adts(data):
        return _AAC
    # Layers I to III; the bits that a real header never has (layer 0, rate 3, bit rate 15) keep most noise out.
    if len(data) > 3 and data[0] == 0xFF and data[1] & 0xE0 == 0xE0:
        version, layer = data[1] >> 3 & 3, data[1] >> 1 & 3
        if version != 1 and layer != 0 and data[2] >> 4 != 15 and data[2] >> 2 & 3 != 3:
            return _MP3
    return None


def _is_adts(data: bytes) -> bool:
    return len(data) > 3 and data[0] == 0xFF and data[1] & 0xF6 == 0xF0 and data[2] >> 2 & 15 < 13
