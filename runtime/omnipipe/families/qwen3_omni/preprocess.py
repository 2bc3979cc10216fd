"""The preprocess stage: as such models have it, with this one's processor and positions."""

from typing import Any

from transformers import Qwen3OmniMoeProcessor

from omnipipe.families.omni_parts import preprocess as parts
from omnipipe.families.qwen3_omni.prompting import Prompter

__all__ = ["Preprocess"]


class Preprocess(parts.Preprocess):
    processor = Qwen3OmniMoeProcessor
    prompter = Prompter

    def steps_per_second(self, config: Any) -> float:
        return float(config.thinker_config.position_id_per_seconds)
