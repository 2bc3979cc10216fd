"""The graph of the embed family: one stage."""

from omnipipe.families.text_pieces import EMBEDDING_OUTPUT
from omnipipe.spec.family import Family, OutputType, ParamType, PortType, StageType
from omnipipe.spec.plan import EdgeKind, EngineKind, Placement

__all__ = ["FAMILY"]

FAMILY = Family(
    name="embed",
    title="Any encoder of transformers, or decoder made for it: texts to vectors",
    stages=(
        StageType(
            name="embed",
            program="omnipipe.families.embed.stages:Embed",
            accepts={"request": PortType("json", EdgeKind.PAYLOAD)},
            emits={EMBEDDING_OUTPUT: PortType("tensor", EdgeKind.STREAM)},
            params={
                "dtype": ParamType(
                    str,
                    "auto",
                    "What the model computes in; auto: what suits the hardware.",
                    choices=("auto", "float32", "bfloat16", "float16"),
                ),
                "pooling": ParamType(
                    str,
                    "auto",
                    "How the states of a text's tokens become one vector; auto: the model's own rule, else mean.",
                    choices=("auto", "mean", "cls", "last", "max"),
                ),
                "step_tokens": ParamType(
                    int, 8192, "Tokens in one pass through the model, padding included.", 1, 1 << 20
                ),
                "trust_remote_code": ParamType(
                    bool, False, "Run Python code that comes with the model. Only for sources that you trust."
                ),
            },
            engine=EngineKind.BATCH,
            placement=Placement.THREAD,
            max_batch=64,
            help="Makes a vector of each text.",
        ),
    ),
    edges=(),
    outputs=(OutputType(EMBEDDING_OUTPUT, "embed", EMBEDDING_OUTPUT),),
    requests="omnipipe.families.embed.requests:EmbeddingRequests",
    sources=("hf", "file", "pvc", "builtin"),
)
