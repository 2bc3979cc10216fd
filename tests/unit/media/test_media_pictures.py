"""Pictures of all sorts become the pixels that a viewer would show."""

import numpy as np
import pytest
from PIL import Image
from tests.unit.media.samples import picture, png_of_size, save

from omnipipe.errors import ErrorKind, RequestError
from omnipipe.media.images import decode_image
from omnipipe.media.limits import MediaLimits

LIMITS = MediaLimits()
PATH = "messages[0].content[1].image_url.url"


def refusal(data: bytes, limits: MediaLimits = LIMITS) -> str:
    with pytest.raises(RequestError) as caught:
        decode_image(data, limits, path=PATH)
    assert caught.value.kind is ErrorKind.INVALID
    assert caught.value.param == PATH
    assert caught.value.message.startswith(f"'{PATH}' ")
    return caught.value.message.removeprefix(f"'{PATH}' ")


@pytest.mark.parametrize("format", ["PNG", "BMP", "GIF", "WEBP", "JPEG", "AVIF"])
def test_formats(format: str) -> None:
    found = decode_image(save(picture(64, 48), format, quality=100, lossless=True), LIMITS)

    assert found.shape == (48, 64, 3)
    assert found.dtype == np.uint8
    assert found.flags.c_contiguous and found.flags.writeable
    assert np.abs(found[40, 5].astype(int) - (255, 0, 0)).max() < 25
    assert np.abs(found[40, 60].astype(int) - (0, 0, 255)).max() < 25


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "1", "L", "LA"])
def test_modes_of_a_png(mode: str) -> None:
    expected = np.asarray(picture(mode=mode).convert("RGB"))

    np.testing.assert_array_equal(decode_image(save(picture(mode=mode), "PNG"), LIMITS), expected)


def test_what_is_transparent_is_white() -> None:
    clear = Image.new("RGBA", (2, 1), (10, 20, 30, 0))
    clear.putpixel((1, 0), (10, 20, 30, 255))
    half = Image.new("RGBA", (1, 1), (0, 0, 0, 128))
    palette = Image.new("P", (1, 1), 0)

    assert decode_image(save(clear, "PNG"), LIMITS).tolist() == [[[255, 255, 255], [10, 20, 30]]]
    assert decode_image(save(half, "PNG"), LIMITS).tolist() == [[[127, 127, 127]]]
    assert decode_image(save(palette, "PNG", transparency=0), LIMITS).tolist() == [[[255, 255, 255]]]


def test_sixteen_bits_are_scaled_rather_than_clipped() -> None:
    grey = np.array([[0, 256, 32768, 65535]], np.uint16)

    found = decode_image(save(Image.fromarray(grey), "PNG"), LIMITS)

    assert found[0, :, 0].tolist() == [0, 1, 128, 255]
    assert (found == found[:, :, :1]).all()


def test_inks_become_light() -> None:
    inks = Image.new("CMYK", (8, 8), (255, 0, 0, 0))

    red, green, blue = decode_image(save(inks, "JPEG", quality=100), LIMITS)[4, 4]

    assert (red < 5, green > 250, blue > 250) == (True, True, True)


@pytest.mark.parametrize(("orientation", "turn"), [
    (1, lambda p: p), (2, np.fliplr), (3, lambda p: np.rot90(p, 2)), (4, np.flipud),
    (5, lambda p: p.transpose(1, 0, 2)), (6, lambda p: np.rot90(p, -1)),
    (7, lambda p: np.rot90(p, 2).transpose(1, 0, 2)), (8, lambda p: np.rot90(p, 1)),
])  # fmt: skip
def test_photos_stand_upright(orientation: int, turn: "np.ufunc") -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation

    found = decode_image(save(picture(), "PNG", exif=exif), LIMITS)

    np.testing.assert_array_equal(found, turn(np.asarray(picture())))


@pytest.mark.parametrize("tiff", [
    b"MM\0*\0\0\0\x08\xff\xff" + bytes(9), b"neither kind of file", b"MM\0*\xff\xff\xff\xf0", b"",
])  # fmt: skip
def test_broken_exif_is_no_fault_of_the_picture(tiff: bytes) -> None:
    data = save(picture(), "PNG", exif=b"Exif\0\0" + tiff)

    np.testing.assert_array_equal(decode_image(data, LIMITS), np.asarray(picture()))


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP"])
def test_of_an_animation_the_first_picture(format: str) -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ((255, 0, 0), (0, 0, 255))]
    data = save(frames[0], format, save_all=True, append_images=frames[1:], lossless=True)

    assert decode_image(data, LIMITS)[0, 0].tolist() == [255, 0, 0]


def test_size_is_read_from_the_header_before_there_are_pixels() -> None:
    assert refusal(png_of_size(20_000, 5_000)).startswith("is too large: ")  # beyond what Pillow warns of
    assert refusal(png_of_size(60_000, 60_000)).startswith("is too large: ")  # beyond what it refuses
    assert refusal(png_of_size(101, 100), MediaLimits(max_pixels=10_000)) == (
        "is too large: 101 by 100 pixels, and the limit is 10000 pixels in all."
    )


def test_bytes_are_counted() -> None:
    data = save(picture(), "PNG")

    assert refusal(data, MediaLimits(max_bytes=len(data) - 1)).startswith("is too large: ")
    assert decode_image(data, MediaLimits(max_bytes=len(data))).shape == (4, 6, 3)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty."),
        (b"hello, this is no picture", "holds text, not an image in a format that is read here."),
        (b"<?xml version='1.0'?><svg xmlns='x'/>", "holds an SVG drawing, not an image in a format that is read here."),
        (b"%PDF-1.7\n", "holds a PDF, not an image in a format that is read here."),
        (b"<!DOCTYPE html><html>", "holds an HTML page, not an image in a format that is read here."),
        (b"\x00\x01\x02\xff" * 9, "holds unknown data, not an image in a format that is read here."),
        (b"II*\0" + bytes(60), "holds a TIFF, not an image in a format that is read here."),
        (b"RIFF\x24\0\0\0WAVEfmt ", "holds audio/wav, which is not an image."),
        (b"\x89PNG\r\n\x1a\n", "is damaged or cut short: it could not be decoded. Send the whole file."),
    ],
)
def test_what_is_no_picture(data: bytes, message: str) -> None:
    assert refusal(data) == message


def test_without_a_path_it_is_the_media() -> None:
    with pytest.raises(RequestError) as caught:
        decode_image(b"", LIMITS)

    assert (caught.value.message, caught.value.param) == ("The media is empty.", None)
