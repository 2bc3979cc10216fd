"""Messages to the thinker's prompt, as in qwen3_omni but for the places that things stand in, and what the talker
hears of it: everything."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from omnipipe.families.qwen2_5_omni.positions import Pace, rope_positions
from omnipipe.families.qwen2_5_omni.values import Spoken
from omnipipe.families.qwen3_omni import prompting as newer
from omnipipe.families.qwen3_omni.asked import Speech
from omnipipe.families.qwen3_omni.items import Made, Maker
from omnipipe.families.qwen3_omni.positions import Block, Plain, Woven

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["OlderMaker", "Prompter"]


class OlderMaker(Maker):
    def _step(self, seconds: float) -> float:
        """In seconds: times are made whole numbers one by one."""
        return seconds


class Prompter(newer.Prompter):
    def _read(self, config: Any) -> None:
        thinker = config.thinker_config
        per_second = int(thinker.position_id_per_seconds)
        self._pace = Pace(per_second, int(per_second * thinker.seconds_per_chunk))

    def _positions(self, blocks: Sequence[Block]) -> "npt.NDArray[np.float32]":
        return rope_positions(blocks, self._pace)

    def _stand(self, blocks: list[Block], plain: int, medium: Made) -> int:
        if not isinstance(medium.block, Woven):
            return super()._stand(blocks, plain, medium)
        # The marks of the picture, which the template has put around it, are the block's own as well.
        blocks.extend((Plain(plain - 1), medium.block))
        return -1

    def _spoken(self, speech: Speech, laid: newer.Laid, start: int) -> Any:
        spoken: Spoken = {"voice": speech.voice.lower(), "start": start, "options": newer.talker_options(speech)}
        return spoken
