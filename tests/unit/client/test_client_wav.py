"""WAV headers inside a run of samples, wherever the run is cut."""

import struct

import pytest

from omnipipe.client.errors import BadAnswer
from omnipipe.client.wav import Samples, wav_bytes

PCM = struct.pack("<8h", *range(8))


def header(
    size: int, *, tag: int = 1, channels: int = 1, rate: int = 24000, bits: int = 16, extra: bytes = b""
) -> bytes:
    fmt = struct.pack("<HHIIHH", tag, channels, rate, rate * channels * 2, channels * 2, bits) + extra
    return b"RIFF\0\0\0\0WAVE" + b"fmt " + struct.pack("<I", len(fmt)) + fmt + b"data" + struct.pack("<I", size)


def taken(*pieces: bytes, channels: int = 1) -> tuple[bytes, int | None, int | None]:
    samples = Samples()
    pcm = b"".join(samples.feed(piece, channels) for piece in pieces)
    samples.end()
    return pcm, samples.rate, samples.channels


@pytest.mark.parametrize("at", range(61))
def test_a_header_may_be_cut_anywhere(at: int) -> None:
    wav = wav_bytes(PCM, 16000, 2)
    assert taken(wav[:at], wav[at:]) == (PCM, 16000, 2)


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFF000, len(PCM), 3 * len(PCM)])
def test_one_header_may_stand_for_all_that_follows(size: int) -> None:
    assert taken(header(size), PCM, PCM, PCM)[0] == PCM * 3


def test_what_a_file_has_after_its_sound_is_no_sound() -> None:
    tail = b"LIST\x04\0\0\0INFO"
    assert taken(header(len(PCM)) + PCM + tail, header(len(PCM)) + PCM + tail)[0] == PCM * 2


def test_chunks_before_the_sound_are_skipped() -> None:
    wav = header(len(PCM)) + PCM
    assert taken(wav[:12] + b"JUNK\x03\0\0\0abc\0" + wav[12:])[0] == PCM


def test_the_long_form_of_the_format_is_known() -> None:
    extra = struct.pack("<HHIH", 22, 16, 3, 1) + bytes(14)
    assert taken(header(len(PCM), tag=0xFFFE, channels=2, extra=extra) + PCM) == (PCM, 24000, 2)


def test_samples_that_look_like_the_beginning_of_a_header_are_samples() -> None:
    assert taken(b"RI", b"FFxxxxyyyyyyyyyy")[0] == b"RIFFxxxxyyyyyyyyyy"


@pytest.mark.parametrize(
    ("wav", "says"),
    [
        (header(8, bits=8), "8 bits"),
        (header(8, tag=3, bits=32), "WAV format 3"),
        (b"RIFF\0\0\0\0WAVEdata\x08\0\0\0", "what sound"),
        (b"RIFF\0\0\0\0WAVEfmt \x04\0\0\0abcd" + bytes(20), "too short"),
        (b"RIFF\0\0\0\0WAVEJUNK\xff\xff\xff\x7f" + bytes(1 << 16), "does not end"),
    ],
)
def test_sound_that_is_not_16_bit_samples_is_refused(wav: bytes, says: str) -> None:
    with pytest.raises(BadAnswer, match=says):
        Samples().feed(wav, 1)
