"""Where a prompt's tokens stand, and what the talker hears of it: everything."""

from collections.abc import Sequence
from typing import Any

from omnipipe.families.omni_parts import prompting as parts
from omnipipe.families.omni_parts.asked import Speech
from omnipipe.families.omni_parts.blocks import Block, Plain, Woven
from omnipipe.families.omni_parts.items import Made
from omnipipe.families.qwen2_5_omni.positions import Pace, rope_positions
from omnipipe.families.qwen2_5_omni.values import Spoken

__all__ = ["Prompter"]


class Prompter(parts.Prompter):
    def __init__(self, processor: Any, config: Any, template: str | None = None) -> None:
        super().__init__(processor, config, template)
        thinker = config.thinker_config
        per_second = int(thinker.position_id_per_seconds)
        self._pace = Pace(per_second, int(per_second * thinker.seconds_per_chunk))

    def _positions(self, blocks: Sequence[Block]) -> parts.Positions:
        return rope_positions(blocks, self._pace)

    def _stand(self, blocks: list[Block], plain: int, medium: Made) -> int:
        if not isinstance(medium.block, Woven):
            return super()._stand(blocks, plain, medium)
        # The marks of the picture, which the template has put around it, are the block's own as well.
        blocks.extend((Plain(plain - 1), medium.block))
        return -1

    def _spoken(self, speech: Speech, laid: parts.Laid, start: int) -> Spoken:
        return {"voice": speech.voice.lower(), "start": start, "options": parts.talker_options(speech)}
