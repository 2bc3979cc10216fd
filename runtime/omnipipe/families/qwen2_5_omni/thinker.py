"""The thinker stage: as such models have it. The talker hears the states of all that is said, so that a text that is
spoken as it stands is read by the model as well."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from omnipipe.engines.autoregressive.program import End, Generation, Hidden, Progress, Sampling, Turn
from omnipipe.engines.program import Emit, Job, StageContext
from omnipipe.families.omni_parts import narration as told
from omnipipe.families.omni_parts import thinker as parts
from omnipipe.families.omni_parts.thinker_prompt import prompt_parts
from omnipipe.families.omni_parts.values import Prompt
from omnipipe.families.qwen2_5_omni.narration import Narration
from omnipipe.families.qwen2_5_omni.thinker_model import ThinkerModel
from omnipipe.families.qwen2_5_omni.values import Spoken
from omnipipe.families.qwen2_5_omni.voices import Voice, load_voices, voice_of

__all__ = ["Thinker"]

_LAST: Final = -1
"""The layer whose states the talker is told."""
_READ: Final = "read"
"""Why a text that is spoken as it stands ends: its states are known."""


class Thinker(parts.Thinker):
    """The state of a job whose text is spoken as it stands is its `Narration`."""

    text_model = ThinkerModel

    def __init__(self, context: StageContext) -> None:
        super().__init__(context)
        self._voices: dict[str, Voice] = {}
        self._marks: tuple[int, ...]

    def prepare_speech(self, folder: Path, config: Any, module: Any) -> None:
        if config.enable_audio_output:
            self.hidden_layers = (_LAST,)
            self._voices = load_voices(folder)
            self._marks = (config.talker_config.tts_text_end_token_id, config.talker_config.tts_text_pad_token_id)

    def narration(self, prompt: Prompt, tokens: Sequence[int]) -> Narration:
        spoken: Spoken = prompt["speech"]
        specials = (voice_of(self._voices, spoken["voice"]).bos_token, *self._marks)
        return Narration(prompt, spoken, tokens, self._table, specials)

    def verbatim(
        self, job: Job, prompt: Prompt, tokens: Sequence[int], narration: told.Narration | None
    ) -> Generation | Sequence[Emit]:
        """It is read, and nothing is said to it."""
        if narration is None:
            return parts.silent(len(tokens), [])
        job.state = narration
        return Generation(
            prompt_parts(prompt, tokens, ()), max_tokens=1, sampling=Sampling(temperature=0.0), hidden=Hidden.PROMPT
        )

    def tokens(self, batch: Sequence[tuple[Job, Progress]]) -> None:
        super().tokens([one for one in batch if not isinstance(one[0].state, Narration)])

    def advance(self, job: Job, progress: Progress) -> Turn:
        if not isinstance(job.state, Narration):
            return super().advance(job, progress)
        return Turn(self.hear(job.state, progress.hidden), finish=_READ if progress.tokens else None)

    def finish(self, job: Job, end: End) -> Sequence[Emit]:
        if not isinstance(job.state, Narration):
            return super().finish(job, end)
        return parts.silent(end.prompt_tokens, [job.state.verbatim()])
