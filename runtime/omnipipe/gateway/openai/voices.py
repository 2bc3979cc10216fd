"""The voice that a request asks for."""

from omnipipe.gateway.openai.chat_request import VoiceId
from omnipipe.gateway.openai.refusals import invalid
from omnipipe.gateway.served import Served

__all__ = ["checked_voice", "voice_name"]

_DEFAULT = "default"


def voice_name(voice: str | VoiceId | None, field: str) -> str | None:
    if isinstance(voice, VoiceId):
        raise invalid(f"Custom voices are not supported: '{field}' must be the name of a voice.", field)
    return voice


def checked_voice(name: str | None, served: Served, field: str) -> str | None:
    """None: the family's own choice."""
    voices = served.requests.voices
    if name is None or name in voices:
        return name
    for voice in voices:  # those who publish models write their voices as names: Chelsie
        if voice.lower() == name.lower():
            return voice
    if name == _DEFAULT:
        return None
    raise invalid(f"Invalid value for '{field}': the voices are {', '.join(sorted(voices))}.", field)
