"""A pipeline as the gateway serves it, and the table that a request's `model` is looked up in."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field

from omnipipe.coordinator.flight import ServedPipeline
from omnipipe.errors import ErrorKind, RequestError
from omnipipe.families.requests import Requests
from omnipipe.gateway.media import MediaResolver
from omnipipe.spec.plan import Plan

__all__ = ["Leaving", "ModelTable", "Served"]


@dataclass(frozen=True, slots=True)
class Served:
    plan: Plan
    coordinator: ServedPipeline
    requests: Requests
    unload: Callable[[], Awaitable[None]] | None = None
    """Lets go of the stages for good, after everything has ended. None: somebody else does."""
    media: MediaResolver | None = None
    """None: the one that the plan asks for."""
    resolver: MediaResolver = field(init=False)
    """Brings the media of its requests here."""
    outputs: frozenset[str] = field(init=False)
    """What the pipeline can answer with: `text`, `audio`, ..."""
    name: str = field(init=False)
    """The model name that answers carry."""
    stage_types: dict[str, str] = field(init=False)
    """Stage name -> the family's stage type."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.plan.gateway.served_names[0])
        object.__setattr__(self, "resolver", self.media or MediaResolver(self.plan))
        object.__setattr__(self, "outputs", frozenset(output.name for output in self.plan.outputs))
        object.__setattr__(self, "stage_types", {stage.name: stage.type or stage.name for stage in self.plan.stages})


@dataclass(slots=True)
class Leaving:
    """Whether this gateway has been told to stop: from then on it is not ready, though it may still serve."""

    begun: bool = False


class ModelTable:
    """`model` -> pipeline, for everything behind one port. A model that is deleted leaves it at once."""

    def __init__(self, pipelines: Sequence[Served]) -> None:
        self.pipelines = tuple(pipelines)
        """Those that are served."""
        self.withdrawn: tuple[Served, ...] = ()
        """Deleted, with requests still on their way."""
        self._by_name: dict[str, Served] = {}
        for served in pipelines:
            for name in served.plan.gateway.served_names:
                other = self._by_name.setdefault(name, served)
                if other is not served:
                    raise ValueError(
                        f"two pipelines serve the model {name!r}: {other.plan.pipeline} and {served.plan.pipeline}; "
                        "give one of them other spec.gateway.servedModelNames"
                    )

    def find(self, model: str | None) -> Served:
        """None: the only one there is, for routes that need not name it."""
        served = self._only() if model is None else self._by_name.get(model)
        if served is None:
            raise RequestError(
                ErrorKind.NOT_FOUND,
                f"The model `{model}` does not exist or you do not have access to it.",
                param="model",
                code="model_not_found",
            )
        return served

    def names(self) -> Iterator[tuple[str, Served]]:
        yield from self._by_name.items()

    def withdraw(self, served: Served) -> None:
        """From now on nobody finds it, under any of its names."""
        self.pipelines = tuple(one for one in self.pipelines if one is not served)
        self.withdrawn = (*self.withdrawn, served)
        self._by_name = {name: one for name, one in self._by_name.items() if one is not served}

    def forget(self, served: Served) -> None:
        """It has been withdrawn and has ended."""
        self.withdrawn = tuple(one for one in self.withdrawn if one is not served)

    def _only(self) -> Served:
        if len(self.pipelines) == 1:
            return self.pipelines[0]
        raise RequestError(
            ErrorKind.INVALID,
            f"Missing required parameter: 'model'. This server has: {', '.join(self._by_name) or 'none'}.",
            param="model",
            code="missing_required_parameter",
        )
