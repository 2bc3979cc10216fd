"""The preprocess stage: as such models have it, with this one's processor and positions."""

from typing import Any

from transformers import Qwen2_5OmniProcessor

from omnipipe.families.omni_parts import preprocess as parts
from omnipipe.families.qwen2_5_omni.prompting import Prompter

__all__ = ["Preprocess"]


class Preprocess(parts.Preprocess):
    processor = Qwen2_5OmniProcessor
    prompter = Prompter

    def steps_per_second(self, config: Any) -> float:
        """Seconds: `positions` makes whole numbers of times one by one."""
        return 1.0
