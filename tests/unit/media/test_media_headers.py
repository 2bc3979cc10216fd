"""Headers as other people's programs read them, and marks by which a file is told from noise."""

import struct

import pytest

from omnipipe.media.sniffing import sniff
from omnipipe.media.wav import UNKNOWN_BYTES, promised_seconds, wav_header


@pytest.mark.parametrize("channels", [1, 2])
def test_every_field_of_a_wav_header_is_true(channels: int) -> None:
    riff, whole, wave, fmt, size, tag, count, rate, per_second, frame, bits, data, length = struct.unpack(
        "<4sI4s4sIHHIIHH4sI", wav_header(1000, 24_000, channels)
    )

    assert (riff, wave, fmt, data) == (b"RIFF", b"WAVE", b"fmt ", b"data")
    assert whole == 36 + 1000  # all that follows this field
    assert (size, tag, count, rate, bits) == (16, 1, channels, 24_000, 16)
    assert (per_second, frame) == (48_000 * channels, 2 * channels)
    assert length == 1000


def test_a_stream_whose_end_is_not_known_says_so_in_both_places() -> None:
    header = wav_header(UNKNOWN_BYTES, 24_000)

    assert struct.unpack_from("<I", header, 4) == struct.unpack_from("<I", header, 40) == (UNKNOWN_BYTES,)
    assert promised_seconds(header) is None


def test_a_wav_file_is_as_long_as_it_says_wherever_its_samples_begin() -> None:
    header = wav_header(48_000, 24_000)
    notes = b"LIST" + struct.pack("<I", 3) + b"abc\0"  # of an odd length, and so padded

    assert promised_seconds(header) == 1.0
    assert promised_seconds(header[:36] + notes + header[36:]) == 1.0
    assert promised_seconds(header[:36]) is None


ADTS = b"\xff\xf1\x50\x80"


def test_an_adts_stream_is_told_by_its_first_four_bytes() -> None:
    found = sniff(ADTS)

    assert found is not None
    assert found.mime == "audio/aac"
    assert sniff(ADTS[:3]) is None


@pytest.mark.parametrize(
    ("rate", "is_sound"),
    [(0, True), (3, True), (12, True), (13, False), (15, False)],  # of sixteen numbers of rates three have no meaning
)
def test_an_adts_stream_has_a_rate_that_there_is(rate: int, is_sound: bool) -> None:
    assert (sniff(bytes((0xFF, 0xF1, 0x40 | rate << 2, 0x80))) is not None) == is_sound


@pytest.mark.parametrize(
    ("second", "third", "is_sound"),
    [
        (0xFB, 0x90, True),  # MPEG 1 layer III, 128 kbit/s, 44.1 kHz
        (0xF3, 0x90, True),  # MPEG 2
        (0xE3, 0x90, True),  # MPEG 2.5
        (0xEB, 0x90, False),  # a version that there is not
        (0xF9, 0x9C, False),  # a layer that there is not, and no AAC
        (0xFB, 0xF0, False),  # no bit rate
        (0xFB, 0x9C, False),  # no sample rate
        (0xDB, 0x90, False),  # no frame's beginning
    ],
)
def test_a_frame_of_mpeg_sound_is_told_from_noise(second: int, third: int, is_sound: bool) -> None:
    found = sniff(bytes((0xFF, second, third, 0x00)))

    assert (found is not None and found.mime == "audio/mpeg") == is_sound


def test_a_tag_in_front_of_sound_does_not_hide_what_sound_it_is() -> None:
    tag = b"ID3\x04\0\0\0\0\x01\x02" + bytes(130)  # its length is written in sevens of bits: 1 * 128 + 2

    found = [sniff(tag + behind) for behind in (ADTS, b"\xff\xfb\x90\0")]

    assert [one.mime for one in found if one] == ["audio/aac", "audio/mpeg"]


def matroska(*codecs: bytes, kind: bytes = b"webm") -> bytes:
    tracks = b"".join(b"\xae" + b"\x86" + bytes((0x80 | len(codec),)) + codec for codec in codecs)
    return b"\x1a\x45\xdf\xa3" + b"\x42\x82" + bytes((0x80 | len(kind),)) + kind + tracks


@pytest.mark.parametrize(
    ("data", "mime"),
    [
        (matroska(b"A_OPUS"), "audio/webm"),
        (matroska(b"V_VP9", b"A_OPUS"), "video/webm"),
        (matroska(b"V_VP9"), "video/webm"),
        (matroska(b"A_OPUS", kind=b"matroska"), "audio/x-matroska"),
        (matroska(b"S_TEXT"), "video/webm"),
        (matroska() + b"A_B", "video/webm"),  # in a title, say
        (matroska(), "video/webm"),  # its tracks come later: whatever is asked of it will find out
    ],
)
def test_a_matroska_file_without_a_picture_is_sound(data: bytes, mime: str) -> None:
    found = sniff(data)

    assert found is not None
    assert found.mime == mime
