"""What bytes are is told by the bytes."""

import pytest
from tests.unit.media.samples import SOUNDS, film, picture, save, sound

from omnipipe.media.sniffing import sniff


@pytest.mark.parametrize(
    ("format", "mime"),
    [("PNG", "png"), ("JPEG", "jpeg"), ("GIF", "gif"), ("WEBP", "webp"), ("BMP", "bmp"), ("AVIF", "avif")],
)
def test_pictures(format: str, mime: str) -> None:
    found = sniff(save(picture(), format))

    assert found is not None
    assert (found.kind, found.mime) == ("image", f"image/{mime}")


@pytest.mark.parametrize("name", SOUNDS)
def test_sounds(name: str) -> None:
    found = sniff(sound(name))

    assert found is not None
    assert found.kind == "audio"
    assert found.mime.startswith("audio/")


@pytest.mark.parametrize(
    ("muxer", "codec", "mime"),
    [
        ("mp4", "mpeg4", "video/mp4"),
        ("mov", "mpeg4", "video/quicktime"),
        ("webm", "libvpx", "video/webm"),
        ("matroska", "mpeg4", "video/x-matroska"),
        ("avi", "mpeg4", "video/x-msvideo"),
    ],
)
def test_films(muxer: str, codec: str, mime: str) -> None:
    found = sniff(film(muxer, codec))

    assert found is not None
    assert (found.kind, found.mime) == ("video", mime)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"B",
        b"BM, said the text",
        b"RIFF",
        b"RIFF....",
        b"text",
        b"\xff",
        b"\xff\xff\xff\xff",
        b"ID",
        b"\0\0\0\x18ftypheic",
    ],
)
def test_what_is_none_of_them(data: bytes) -> None:
    assert sniff(data) is None
