"""Whether a program has what its engine will call. A program comes by its name from a plan, out of a package that no
type checker of ours has seen: what it lacks should end the start, and not each request.
"""

from omnipipe.spec.plan import EngineKind

__all__ = ["missing"]

_METHODS = {
    EngineKind.BATCH: ("cost", "run"),
    EngineKind.AUTOREGRESSIVE: ("load", "begin", "advance", "feed", "finish"),
}
_ATTRIBUTES = {EngineKind.BATCH: (), EngineKind.AUTOREGRESSIVE: ("hidden_layers",)}


def missing(program: object, kind: EngineKind) -> str | None:
    """In words; None: nothing."""
    methods = [f"{name}()" for name in _METHODS[kind] if not callable(getattr(program, name, None))]
    found = methods + [name for name in _ATTRIBUTES[kind] if not hasattr(program, name)]
    return f"it has no {', '.join(found)}, as a program of the {kind} engine must" if found else None
