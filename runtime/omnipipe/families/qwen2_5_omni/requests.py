"""A client's request: as such models have it, with this one's voices and stages."""

from omnipipe.families.omni_parts.requests import OmniRequests
from omnipipe.families.qwen2_5_omni.graph import FAMILY

__all__ = ["Qwen25OmniRequests"]


class Qwen25OmniRequests(OmniRequests):
    family = FAMILY
    voices = frozenset({"chelsie", "ethan"})
