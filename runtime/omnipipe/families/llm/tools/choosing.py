"""Which syntax a model's tool calls have: what its chat template shows it, unless the manifest says."""

from omnipipe.families.llm.tools.dialect import Dialect
from omnipipe.families.llm.tools.hermes import Hermes
from omnipipe.families.llm.tools.llama3 import Llama3
from omnipipe.families.llm.tools.mistral import Mistral

__all__ = ["choose_dialect"]


def choose_dialect(parser: str, template: str) -> Dialect | None:
    """None: the model calls no tools. `parser`: the stage's option."""
    if parser == "auto":
        parser = _recognised(template)
    match parser:
        case "hermes":
            return Hermes()
        case "llama3":
            return Llama3()
        case "mistral":
            return Mistral(named="[ARGS]" in template)
        case _:
            return None


def _recognised(template: str) -> str:
    if "<tool_call>" in template and "<function=" not in template and "<arg_key>" not in template:
        return "hermes"
    if "[TOOL_CALLS]" in template:
        return "mistral"
    if "<|python_tag|>" in template or ("<|start_header_id|>" in template and '"parameters"' in template):
        return "llama3"
    return "none"
