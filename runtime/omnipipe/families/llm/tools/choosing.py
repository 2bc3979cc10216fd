"""Which syntax a model's tool calls have: what its chat template shows it, unless the manifest says."""

from omnipipe.families.llm.tools.dialect import Dialect
from omnipipe.families.llm.tools.harmony import Harmony
from omnipipe.families.llm.tools.hermes import Hermes
from omnipipe.families.llm.tools.llama3 import Llama3
from omnipipe.families.llm.tools.mistral import Mistral
from omnipipe.families.llm.tools.sections import DeepSeek, Kimi
from omnipipe.families.llm.tools.tagged_dialects import GLM4, QWEN3_CODER

__all__ = ["choose_dialect"]


def choose_dialect(parser: str, template: str) -> Dialect | None:
    """None: the model calls no tools. `parser`: the stage's option."""
    if parser == "auto":
        parser = _recognised(template)
    match parser:
        case "deepseek":
            return DeepSeek(fenced="```json" in template)
        case "glm4":
            return GLM4
        case "harmony":
            return Harmony()
        case "hermes":
            return Hermes()
        case "kimi":
            return Kimi()
        case "llama3":
            return Llama3()
        case "mistral":
            return Mistral(named="[ARGS]" in template)
        case "qwen3_coder":
            return QWEN3_CODER
        case _:
            return None


def _recognised(template: str) -> str:
    if "<|channel|>" in template and "<|message|>" in template:
        return "harmony"
    if "<arg_key>" in template:
        return "glm4"
    if "<function=" in template:
        return "qwen3_coder" if "<parameter=" in template else "none"
    if "<tool_call>" in template:
        return "hermes"
    if "[TOOL_CALLS]" in template:
        return "mistral"
    if "<｜tool▁calls▁begin｜>" in template:
        return "deepseek"
    if "<|tool_calls_section_begin|>" in template:
        return "kimi"
    if "<|python_tag|>" in template or ("<|start_header_id|>" in template and '"parameters"' in template):
        return "llama3"
    return "none"
