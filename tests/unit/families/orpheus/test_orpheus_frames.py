import pytest

from omnipipe.errors import RequestError
from omnipipe.families.orpheus.frames import CODEBOOK, PLACES, Frames
from omnipipe.families.orpheus.requests import OrpheusRequests
from omnipipe.families.requests import SpeechRequest

FIRST = 1000


def token(place: int, code: int) -> int:
    return FIRST + place * CODEBOOK + code


def test_seven_tokens_are_a_frame_however_they_come() -> None:
    tokens = [token(place, 10 * place) for place in range(PLACES)] * 2
    frames = Frames(FIRST)
    assert frames.push(tokens[:5]) == []
    assert frames.push(tokens[5:10]) == [[0, 10, 20, 30, 40, 50, 60]]
    assert frames.push(tokens[10:]) == [[0, 10, 20, 30, 40, 50, 60]]


def test_what_does_not_belong_to_the_place_is_passed_over() -> None:
    frames = Frames(FIRST)
    stumbling = [5, token(3, 1), token(0, 1), token(0, 2), FIRST - 1, token(6, CODEBOOK)]
    assert frames.push(stumbling) == []
    assert frames.push([token(place, place) for place in range(1, PLACES)]) == [[1, 1, 2, 3, 4, 5, 6]]


def test_a_text_is_said_in_the_first_voice_unless_another_is_asked_for() -> None:
    requests = OrpheusRequests()
    assert requests.entry_speech(SpeechRequest("hello", None)).value == {"text": "hello"}
    asked = requests.entry_speech(SpeechRequest("hello", "zoe", {"temperature": 0.1, "seed": 3})).value
    assert asked == {"text": "hello", "voice": "zoe", "temperature": 0.1, "seed": 3}


def test_stage_params_are_refused_by_name() -> None:
    with pytest.raises(RequestError) as caught:
        OrpheusRequests().check_stage_params("vocoder", {"speed": 2})
    assert caught.value.param == "stage_params.vocoder.speed"
