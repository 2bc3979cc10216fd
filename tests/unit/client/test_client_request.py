"""Arguments of a call to the form that is sent."""

import io
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from omnipipe.client import OmnipipeClient
from omnipipe.client.errors import Timeout
from omnipipe.client.form import generate_call
from omnipipe.client.limits import Deadline, TimeLimits
from omnipipe.client.media import Media, reads_files, uploads
from omnipipe.client.setup import Call, Setup, read_setup
from omnipipe.client.sniff import MIME, Kind, kinds_of, sniff
from omnipipe.client.wav import wav_bytes

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
WAV = wav_bytes(bytes(8), 8000, 1)
MP4 = b"\0\0\0\x18ftypisom" + bytes(12)
WEBM = b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm"


def call(**given: Any) -> Call:
    nothing = dict.fromkeys(("text", "images", "audio", "video", "input_modalities", "request_id", "model"))
    return generate_call(**{**nothing, "output_modalities": ("text",), "stream": False, "model_kwargs": {}, **given})


def setup(**given: Any) -> Setup:
    return read_setup(
        **{
            "base_url": "http://host",
            "api_key": "",
            "timeout": 600.0,
            "max_retries": 2,
            "headers": None,
            **given,
        }
    )


def test_a_prompt_is_one_text() -> None:
    with pytest.raises(TypeError, match="one text, not list; a list of messages"):
        call(text=[{"role": "user", "content": "hi"}])


def test_only_what_is_given_is_sent() -> None:
    assert call(text="hi").fields == {"text": "hi", "output_modalities": "text", "streaming": "false"}
    assert call(
        text="",
        output_modalities=["text", "audio"],
        input_modalities="image, text",
        stream=True,
        request_id="r",
        model="m",
        model_kwargs={"voice": None, "seed": 7, "état": [1.5]},
    ).fields == {
        "model": "m",
        "text": "",
        "input_modalities": "image,text",
        "output_modalities": "text,audio",
        "streaming": "true",
        "request_id": "r",
        "model_kwargs": '{"seed": 7, "état": [1.5]}',
    }


@pytest.mark.parametrize("wrong", ["", [], ["text", ""], ","])
def test_modalities_are_names(wrong: object) -> None:
    with pytest.raises(ValueError, match="output_modalities"):
        call(output_modalities=wrong)


@pytest.mark.parametrize(("value", "kind"), [(b"x", TypeError), (float("nan"), ValueError), ({1}, TypeError)])
def test_options_that_are_no_json_are_named(value: object, kind: type[Exception]) -> None:
    with pytest.raises(kind, match=r"^heat "):
        call(model_kwargs={"heat": value})


def test_media_in_every_form(tmp_path: Path) -> None:
    path = tmp_path / "cat.JPG"
    path.write_bytes(b"jpeg")
    with path.open("rb") as file:
        assert [upload.name for upload in uploads("image", [str(path), path, ("dog.png", b"x"), PNG, file])] == [
            "cat.JPG", "cat.JPG", "dog.png", "image_3.png", "cat.JPG",
        ]  # fmt: skip
    assert [upload.name for upload in uploads("audio", ("a.flac", b"x"))] == ["a.flac"]
    assert [upload.content for upload in uploads("audio", (bytearray(WAV), memoryview(WAV)))] == [WAV, WAV]
    assert [(u.name, u.mime) for u in uploads("video", io.BytesIO(MP4))] == [("video_0.mp4", "video/mp4")]
    assert uploads("image", None) == uploads("image", []) == []


def test_a_name_that_says_nothing_gets_what_the_bytes_say(tmp_path: Path) -> None:
    (tmp_path / "upload.bin").write_bytes(WAV)
    (tmp_path / "clip").write_bytes(PNG)
    assert uploads("audio", tmp_path / "upload.bin")[0].name == "upload.bin.wav"
    assert uploads("image", tmp_path / "clip")[0].name == "clip.png"


def test_a_film_may_be_given_for_its_sound() -> None:
    assert [(u.name, u.mime) for u in uploads("audio", [MP4, WEBM, ("talk.mov", b"x")])] == [
        ("audio_0.m4a", "audio/mp4"), ("audio_1.webm", "audio/webm"), ("talk.mov", "audio/quicktime"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "media", "error", "says"),
    [
        ("image", [PNG, WAV], ValueError, r"images\[1\]: not a picture, the bytes are wav"),
        ("video", ("a.png", b"x"), ValueError, r"video\[0\]: a.png is not a film"),
        ("audio", b"what", ValueError, r"audio\[0\]: nothing in the bytes"),
        ("audio", ("sound", b"what"), ValueError, "neither the name sound nor the bytes"),
        ("image", b"", ValueError, r"images\[0\]"),
        ("image", "https://host/cat.png", ValueError, "a URL is no path"),
        ("image", "data:image/png;base64,AA", ValueError, "a URL is no path"),
        ("image", 7, TypeError, r"images\[0\]: .* not int"),
        ("image", [("a.png", b"x", 1)], TypeError, "not tuple"),
        ("image", [("a.png", 5)], TypeError, "not tuple"),
        ("image", io.StringIO("x"), TypeError, "mode 'rb'"),
        ("image", "/nowhere/cat.png", FileNotFoundError, "cat.png"),
    ],
)
def test_media_that_cannot_be_sent_are_named(kind: Kind, media: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        uploads(kind, media)


def test_only_files_wait_for_a_disk() -> None:
    here: list[Media | None] = [None, PNG, ("a.png", PNG), [PNG, ("a.png", PNG)]]
    there: list[Media | None] = ["a.png", Path("a.png"), [PNG, "a.png"], io.BytesIO(PNG)]
    assert [reads_files(media) for media in here + there] == [False] * 4 + [True] * 4


@pytest.mark.parametrize(
    ("head", "extension"),
    [
        (PNG, "png"), (b"\xff\xd8\xff\xe0", "jpg"), (b"GIF89a", "gif"), (b"RIFF\0\0\0\0WEBPVP8 ", "webp"),
        (b"BM\x10\0\0\0\0\0\0\0", "bmp"), (b"II*\0", "tiff"), (b"MM\0*", "tiff"), (b"\0\0\0\x1cftypavif", "avif"),
        (WAV, "wav"), (b"fLaC\0", "flac"), (b"OggS\0", "ogg"), (b"ID3\x04", "mp3"), (b"\xff\xfb\x90\x64", "mp3"),
        (b"\xff\xf1\x50\x80", "aac"), (b"\0\0\0\x18ftypM4A ", "m4a"), (MP4, "mp4"), (b"\0\0\0\x14ftypqt  ", "mov"),
        (b"RIFF\0\0\0\0AVI LIST", "avi"), (WEBM, "webm"), (WEBM.replace(b"webm", b"matr"), "mkv"),
        (b"BM is how this text begins", None), (b"\xff\xff\xff\xff", None), (b"", None), (b"hello", None),
    ],
)  # fmt: skip
def test_what_bytes_are(head: bytes, extension: str | None) -> None:
    assert sniff(head) == extension
    assert extension is None or kinds_of(extension)


def test_every_known_extension_is_something() -> None:
    assert all(kinds_of(extension) for extension in MIME)
    assert not kinds_of("exe")


def sent(one: Call, of: Setup) -> tuple[httpx.Request, bytes]:
    with httpx.Client() as http:
        request = http.build_request(**of.request(one, Deadline(of.limits)))
        return request, request.read()


def test_fields_and_files_are_parts_of_one_form() -> None:
    request, body = sent(call(text="zażółć\r\n--x", images=('ą".png', PNG)), setup(api_key=" k3y\n"))
    assert request.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert request.headers["authorization"] == "Bearer k3y"
    assert request.headers["user-agent"].startswith("omnipipe-python/")
    assert b'name="text"\r\n\r\n' + "zażółć\r\n--x\r\n".encode() in body
    assert b'name="files"; filename="\xc4\x85%22.png"\r\nContent-Type: image/png\r\n\r\n' + PNG in body
    assert int(request.headers["content-length"]) == len(body)


def test_a_second_try_sends_the_files_again() -> None:
    one, of = call(images=PNG), setup()
    assert all(PNG in sent(one, of)[1] for _ in range(2))


def test_the_key_comes_from_the_environment_and_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMNIPIPE_API_KEY", "from-env")
    assert setup(api_key=None).headers["authorization"] == "Bearer from-env"
    assert setup(api_key="given").headers["authorization"] == "Bearer given"
    assert "authorization" not in setup(api_key="").headers
    assert "from-env" not in repr(setup(api_key=None))


def test_headers_of_the_caller_win() -> None:
    headers = setup(api_key="k", headers={"Authorization": "Basic x", "X-Team": "a"}).headers
    assert (headers["authorization"], headers["x-team"]) == ("Basic x", "a")


@pytest.mark.parametrize(
    ("given", "root"),
    [
        ("http://host:8000", "http://host:8000"),
        ("https://host/", "https://host"),
        ("http://host/v1/", "http://host"),
        ("http://host/models/a/v1", "http://host/models/a"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_the_address_may_be_the_one_of_openai_clients(given: str, root: str) -> None:
    assert setup(base_url=given).base_url == root


@pytest.mark.parametrize(
    "wrong",
    [
        {"base_url": "localhost:8000"}, {"base_url": ""}, {"base_url": "ftp://host"}, {"base_url": "http://h?q=1"},
        {"base_url": "http://h:port"}, {"api_key": "a b"}, {"api_key": "a\nb"}, {"api_key": "klucz-ż"},
        {"headers": {"x": "a\r\nb"}}, {"max_retries": -1}, {"timeout": 0}, {"timeout": float("inf")},
    ],
)  # fmt: skip
def test_what_could_only_fail_later_fails_at_once(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        setup(**wrong)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_every_wait_ends_with_the_total() -> None:
    limits = TimeLimits(total=60, connect=10, silence=20)
    clock, of = Clock(), setup(timeout=limits)
    deadline = Deadline(limits, clock)
    begin = of.request(call(stream=True), deadline)["timeout"]
    assert (begin.connect, begin.read, begin.write, begin.pool) == (10, 20, 60, 60)
    assert of.request(call(), deadline)["timeout"].read == 60
    clock.now = 55
    late = of.request(call(stream=True), deadline)["timeout"]
    assert (late.connect, late.read) == (5, 5)
    clock.now = 60
    with pytest.raises(Timeout, match="not whole within 60 s"):
        of.request(call(), deadline)


def test_without_limits_nothing_ends() -> None:
    limits = TimeLimits(total=None, connect=None)
    timeout = setup(timeout=limits).request(call(), Deadline(limits))["timeout"]
    assert (timeout.connect, timeout.read, timeout.write, timeout.pool) == (None, None, None, None)


def test_a_question_about_health_is_asked_once_and_not_for_long() -> None:
    probe = setup(timeout=None).probe()
    assert (probe.limits.total, probe.max_retries) == (10, 0)
    assert setup(timeout=3).probe().limits.total == 3


def test_wrong_arguments_are_told_before_anything_is_sent() -> None:
    with OmnipipeClient("http://host.invalid") as client:
        with pytest.raises(ValueError, match="images"):
            client.stream(images=b"what")
        with pytest.raises(TypeError, match="stream"):
            client.tts("hi", stream=True)
        with pytest.raises(TypeError, match="heat"):
            client.chat("hi", heat=object())


def test_options_are_json_as_they_were_given() -> None:
    fields = call(model_kwargs={"stage_params": {"thinker": {"a": 1}}}).fields
    assert json.loads(fields["model_kwargs"]) == {"stage_params": {"thinker": {"a": 1}}}
