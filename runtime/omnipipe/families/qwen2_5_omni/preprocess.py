"""The preprocess stage: qwen3_omni's, with this model's processor and positions."""

from dataclasses import fields
from pathlib import Path
from typing import Any

from transformers import Qwen2_5OmniProcessor

from omnipipe.engines.loading import load_config
from omnipipe.engines.program import StageContext
from omnipipe.families.qwen2_5_omni.prompting import OlderMaker, Prompter
from omnipipe.families.qwen3_omni import preprocess as newer
from omnipipe.families.qwen3_omni.byte_cache import ByteCache
from omnipipe.families.qwen3_omni.items import Defaults, Made
from omnipipe.families.qwen3_omni.processor import load_omni_processor
from omnipipe.weights import resolve

__all__ = ["Preprocess"]


class Preprocess(newer.Preprocess):
    """A `BatchProgram`."""

    def __init__(self, context: StageContext) -> None:
        params = context.params
        folder = resolve(context.source or "")
        config: Any = load_config(folder)
        processor: Any = load_omni_processor(folder, Qwen2_5OmniProcessor)
        given = str(params["chat_template"])
        self._prompter = Prompter(processor, config, Path(given).read_text() if given else None)
        self._most = int(params["max_features_mb"]) << 20
        defaults = Defaults(**{field.name: params[field.name] for field in fields(Defaults)})
        self._maker = OlderMaker(processor, config.thinker_config.position_id_per_seconds, defaults, self._most)
        self._made: ByteCache[Made] = ByteCache(int(params["cache_mb"]) << 20)
