"""A client's request: as such models have it, with this one's voices and stages."""

from omnipipe.families.omni_parts.requests import OmniRequests
from omnipipe.families.qwen3_omni.graph import FAMILY

__all__ = ["Qwen3OmniRequests"]


class Qwen3OmniRequests(OmniRequests):
    family = FAMILY
    voices = frozenset({"aiden", "chelsie", "ethan"})
