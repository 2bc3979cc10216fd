"""A client's request: as qwen3_omni has it, with this model's voices and stages."""

from omnipipe.families.qwen2_5_omni.graph import FAMILY
from omnipipe.families.qwen3_omni.requests import Qwen3OmniRequests

__all__ = ["Qwen25OmniRequests"]


class Qwen25OmniRequests(Qwen3OmniRequests):
    """`families.requests.Requests` and `SpeechRequests` of the qwen2_5_omni family."""

    family = FAMILY
    voices: frozenset[str] = frozenset({"chelsie", "ethan"})
