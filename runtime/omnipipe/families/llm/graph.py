"""The graph of the llm family: one stage."""

from omnipipe.spec.family import Family, OutputType, ParamType, PortType, StageType
from omnipipe.spec.plan import EdgeKind, EngineKind, Placement

__all__ = ["FAMILY", "REASONING_PARSERS", "TOOL_PARSERS"]

TOOL_PARSERS = ("auto", "deepseek", "glm4", "harmony", "hermes", "kimi", "llama3", "mistral", "qwen3_coder", "none")
REASONING_PARSERS = ("auto", "think", "none")

FAMILY = Family(
    name="llm",
    title="Any causal language model of transformers: chat, completions, tools, JSON, reasoning",
    stages=(
        StageType(
            name="llm",
            program="omnipipe.families.llm.stages:Llm",
            accepts={"request": PortType("json", EdgeKind.PAYLOAD)},
            emits={"text": PortType("text", EdgeKind.STREAM)},
            params={
                "tool_parser": ParamType(
                    str,
                    "auto",
                    "How the model writes tool calls; auto looks at its chat template.",
                    choices=TOOL_PARSERS,
                ),
                "reasoning_parser": ParamType(
                    str,
                    "auto",
                    "How the model marks its reasoning: think for <think> tags; auto looks at its chat template. "
                    "The channels of harmony are read by the tool parser of this name.",
                    choices=REASONING_PARSERS,
                ),
                "chat_template": ParamType(
                    str, "", "Path of a Jinja file to use in place of the model's own chat template."
                ),
                "trust_remote_code": ParamType(
                    bool, False, "Run Python code that comes with the model. Only for sources that you trust."
                ),
            },
            engine=EngineKind.AUTOREGRESSIVE,
            placement=Placement.THREAD,
            help="Renders the prompt, generates, and tells text, reasoning and tool calls apart.",
        ),
    ),
    edges=(),
    outputs=(OutputType("text", "llm", "text"),),
    requests="omnipipe.families.llm.requests:LlmRequests",
    sources=("hf", "file", "pvc", "builtin"),
)
