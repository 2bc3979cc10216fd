"""The thinker stage: as such models have it. Of a text that is spoken as it stands nothing is computed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omnipipe.engines.program import Emit, Job, StageContext
from omnipipe.families.omni_parts import narration as told
from omnipipe.families.omni_parts import thinker as parts
from omnipipe.families.omni_parts.values import Prompt
from omnipipe.families.qwen3_omni.narration import Narration
from omnipipe.families.qwen3_omni.thinker_model import ThinkerModel

__all__ = ["Thinker"]


class Thinker(parts.Thinker):
    text_model = ThinkerModel

    def __init__(self, context: StageContext) -> None:
        super().__init__(context)
        self._specials: tuple[int, ...]

    def prepare_speech(self, folder: Path, config: Any, module: Any) -> None:
        self._specials = (config.tts_bos_token_id, config.tts_eos_token_id, config.tts_pad_token_id)
        if config.enable_audio_output:
            self.hidden_layers = (config.talker_config.accept_hidden_layer,)
            module.shown_layers = list(self.hidden_layers)

    def narration(self, prompt: Prompt, tokens: Sequence[int]) -> Narration:
        return Narration(prompt, prompt["speech"], tokens, self._table, self._specials)

    def verbatim(self, job: Job, prompt: Prompt, tokens: Sequence[int], narration: told.Narration | None) -> list[Emit]:
        return parts.silent(len(tokens), [] if narration is None else [narration.verbatim()])
