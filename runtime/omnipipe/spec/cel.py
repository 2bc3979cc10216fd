"""The manifest's rules between fields, in the API server's own language (CEL).

Each says the same as a rule in `rules`, `resolve`, `wiring` or `graph_rules`, so that `kubectl apply` refuses it
without a webhook. What needs the family (types, ports, options) or a walk over the graph (cycles) cannot be said here.
"""

from typing import Final

from omnipipe.spec.scalars import PATTERN_WORDS
from omnipipe.spec.sources import SCHEMES
from omnipipe.spec.structural import Schema

__all__ = ["PIPELINE_RULES", "STAGE_RULES", "name_rules"]


def _rule(rule: str, message: str, field: str = "") -> Schema:
    """`field`: the path, from where the rule stands, that the API server puts in front of the message. Messages cannot
    name the value that is wrong: an expression that looks for it costs more than the server's budget."""
    return {"rule": rule, "message": message} | ({"fieldPath": field} if field else {})


def name_rules(name: Schema) -> list[Schema]:
    """For the root of an object whose `metadata.name` must fit this schema."""
    longest, pattern = name["maxLength"], name["pattern"]
    return [
        _rule(
            f"size(self.metadata.name) <= {longest}",
            f"must be at most {longest} characters long, so that the names of its children fit into 63",
            ".metadata.name",
        ),
        _rule(f"self.metadata.name.matches('{pattern}')", PATTERN_WORDS[pattern], ".metadata.name"),
    ]


_SCHEMES = ", ".join(f"'{scheme}://'" for scheme in SCHEMES)

_GRAPH = [
    _rule(
        "has(self.edges) || !has(self.outputs)",
        "belongs to a graph of your own: give spec.edges too, or remove it",
        ".outputs",
    ),
    _rule(
        "!has(self.edges) || has(self.outputs)",
        "is required with spec.edges: what does the pipeline answer with?",
        ".outputs",
    ),
    _rule(
        "!has(self.edges) || (has(self.stages) && size(self.stages) > 0)",
        "is required with spec.edges: the stages listed are the whole graph",
        ".stages",
    ),
    _rule(
        "has(self.edges) || !has(self.stages) || self.stages.all(s, !has(s.type) || s.type == s.name)",
        "only a graph of your own (spec.edges) gives a stage another type; remove it",
        ".stages",
    ),
    _rule(
        "!has(self.edges) || !has(self.stages) || self.edges.all(e, "
        "self.stages.exists(s, s.name == e.from) && self.stages.exists(s, s.name == e.to))",
        "every from and to must be the name of one of spec.stages",
        ".edges",
    ),
    _rule(
        "!has(self.edges) || !has(self.stages) || !has(self.outputs) || "
        "self.outputs.all(o, self.stages.exists(s, s.name == o.stage))",
        "every stage of an output must be the name of one of spec.stages",
        ".outputs",
    ),
    _rule(
        "!has(self.edges) || !has(self.stages) || self.stages.exists(s, !self.edges.exists(e, e.to == s.name))",
        "there must be an entry stage, one that no edge leads to",
        ".edges",
    ),
]

_TRANSPORT = [
    _rule(
        "self.deadAfterSeconds >= 2.0 * self.heartbeatSeconds",
        "must be at least twice heartbeatSeconds, or one late heartbeat is a death",
        ".deadAfterSeconds",
    ),
    _rule(
        "self.stalledAfterSeconds > self.deadAfterSeconds", "must be more than deadAfterSeconds", ".stalledAfterSeconds"
    ),
    _rule("self.maxMessageBytes > self.inlineLimitBytes", "must be more than inlineLimitBytes", ".maxMessageBytes"),
]

PIPELINE_RULES: Final[dict[str, list[Schema]]] = {
    "spec": _GRAPH,
    "spec.model.source": [
        _rule(
            f"[{_SCHEMES}].exists(s, self.startsWith(s))",
            f"must begin with {', '.join(f'{scheme}://' for scheme in SCHEMES)}",
        )
    ],
    "spec.edges": [_rule("self.all(e, self.exists_one(f, f == e))", "the same edge is there twice")],
    "spec.edges[]": [_rule("self.from != self.to", "must not lead from a stage to itself")],
    "spec.gateway": [
        _rule(
            "!has(self.queueTimeoutSeconds) || !has(self.requestTimeoutSeconds) || "
            "self.queueTimeoutSeconds < self.requestTimeoutSeconds",
            "must be less than requestTimeoutSeconds",
            ".queueTimeoutSeconds",
        )
    ],
    "spec.transport": _TRANSPORT,
}
"""Path in the object -> what must hold there."""

STAGE_RULES: Final[dict[str, list[Schema]]] = {
    "": [
        _rule(
            "self.metadata.name == self.spec.pipeline + '-' + self.spec.stage",
            "must be <spec.pipeline>-<spec.stage>",
            ".metadata.name",
        )
    ],
    "spec.pipeline": [_rule("self == oldSelf", "cannot be changed")],
    "spec.stage": [_rule("self == oldSelf", "cannot be changed")],
}
