"""Edges and outputs by name, made into typed ones: finds the stages, ports and inputs that are meant, or says what was
wrong with the words that name them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from omnipipe.spec.errors import PathKey, Problem
from omnipipe.spec.family import Family, OutputType, PortType, StageType
from omnipipe.spec.graph import ENTRY_INPUT, GraphEdge, GraphOutput
from omnipipe.spec.graph_rules import Places
from omnipipe.spec.plan import EdgeKind
from omnipipe.spec.suggest import listed, meant

__all__ = ["EdgeWish", "OutputWish", "Wiring"]


@dataclass(frozen=True, slots=True)
class EdgeWish:
    """An edge as somebody asked for it; a port or input may be left to us."""

    source: str
    target: str
    port: str | None
    input: str | None
    window_chunks: int | None = None
    window_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class OutputWish:
    name: str
    stage: str
    port: str | None


@dataclass(slots=True)
class Wiring:
    """What has been made out so far. A stage whose type is unknown keeps its name, so that one mistake is one finding
    and not one more for each edge that mentions it."""

    family: Family
    stages: dict[str, StageType | None] = field(default_factory=dict)
    edges: list[GraphEdge] = field(default_factory=list)
    outputs: list[GraphOutput] = field(default_factory=list)
    places: Places = field(default_factory=Places)
    problems: list[Problem] = field(default_factory=list)

    def say(self, path: PathKey, message: str) -> None:
        self.problems.append(Problem(path, message))

    def add_edge(self, wish: EdgeWish, path: PathKey) -> None:
        for key, name in (("from", wish.source), ("to", wish.target)):
            if name not in self.stages:
                self.say((*path, key), f'no stage is called "{name}"{meant(name, self.stages)}')
                self.places.unknown = True
        source, target = self.stages.get(wish.source), self.stages.get(wish.target)
        if wish.source in self.stages and wish.target in self.stages:
            if wish.source == wish.target:
                self.say(path, f'feeds stage "{wish.source}" from itself')
            else:
                self.places.links.append((path, wish.source, wish.target))
        ports = None
        if source is not None and target is not None and wish.source != wish.target:
            ports = self._ports(wish, source, target, path)
        if ports is None:
            self.places.doubtful.add(wish.target)
            return
        port, input, kind = ports
        if kind.kind is EdgeKind.PAYLOAD:
            for key, window in (("windowChunks", wish.window_chunks), ("windowBytes", wish.window_bytes)):
                if window is not None:
                    self.say((*path, key), "only a stream edge has a window; this one carries one whole value")
        self.places.edges.append(path)
        self.edges.append(
            GraphEdge(
                source=wish.source,
                target=wish.target,
                port=port,
                input=input,
                kind=kind.kind,
                type=kind.type,
                window_chunks=wish.window_chunks,
                window_bytes=wish.window_bytes,
            )
        )

    def add_output(self, wish: OutputWish, path: PathKey) -> None:
        declared = next((o for o in self.family.outputs if o.name == wish.name), None)
        if declared is None:
            hint = meant(wish.name, [o.name for o in self.family.outputs])
            self.say((*path, "name"), f'the {self.family.name} family has no output "{wish.name}"{hint}')
        elif any(o.name == wish.name for o in self.outputs):
            self.say((*path, "name"), f'output "{wish.name}" is given twice')
            return
        if wish.stage not in self.stages:
            self.say((*path, "stage"), f'no stage is called "{wish.stage}"{meant(wish.stage, self.stages)}')
            self.places.unknown = True
            return
        self.places.answering.add(wish.stage)
        kind = self.stages[wish.stage]
        if kind is not None and declared is not None:
            port = self._output_port(wish, kind, self._output_type(declared), path)
            if port is not None:
                self.outputs.append(GraphOutput(wish.name, wish.stage, port, kind.emits[port].type))

    def _ports(
        self, wish: EdgeWish, source: StageType, target: StageType, path: PathKey
    ) -> tuple[str, str, PortType] | None:
        """The one port and input that fit, given what the wish names, and are called alike when several do; else says
        why not."""
        if ENTRY_INPUT in target.accepts:
            self.say((*path, "to"), f'stage "{wish.target}" is fed by the client\'s request and takes no edge')
            return None
        if not target.accepts or not source.emits:
            key, words = ("from", "emits nothing") if target.accepts else ("to", "takes no input")
            self.say((*path, key), f'stage "{wish.source if key == "from" else wish.target}" {words}')
            return None
        emits = self._named(wish.port, source.emits, (*path, "port"), f'stage "{wish.source}" has no port')
        accepts = self._named(wish.input, target.accepts, (*path, "input"), f'stage "{wish.target}" has no input')
        if emits is None or accepts is None:
            return None
        fits = [(p, i, kind) for p, kind in emits.items() for i, wanted in accepts.items() if kind == wanted]
        if len(fits) > 1:
            fits = [fit for fit in fits if fit[0] == fit[1]] or fits
        if len(fits) == 1:
            return fits[0]
        if fits:
            choices = listed(f"{p} -> {i}" for p, i, _ in fits)
            self.say(path, f"could be any of {choices}; say which with port and input")
        else:
            has, wants = _described(wish.source, emits), _described(wish.target, accepts)
            self.say(path, f"types do not match: {has} into {wants}")
        return None

    def _named(
        self, name: str | None, ports: Mapping[str, PortType], path: PathKey, lead: str
    ) -> Mapping[str, PortType] | None:
        if name is None:
            return ports
        if name in ports:
            return {name: ports[name]}
        self.say(path, f'{lead} "{name}"{meant(name, ports)}')
        return None

    def _output_type(self, declared: OutputType) -> str | None:
        kind = self.family.stage(declared.stage)
        port = kind.emits.get(declared.port) if kind is not None else None
        return None if port is None else port.type

    def _output_port(self, wish: OutputWish, kind: StageType, wanted: str | None, path: PathKey) -> str | None:
        ports = self._named(wish.port, kind.emits, (*path, "port"), f'stage "{wish.stage}" has no port')
        if ports is None:
            return None
        fits = [name for name, port in ports.items() if port.type == wanted]
        if len(fits) == 1:
            return fits[0]
        if fits:
            self.say(path, f"could be any of the ports {listed(fits)}; say which with port")
        else:
            has = _described(wish.stage, ports) or "nothing"
            self.say(path, f'nobody produces it: output "{wish.name}" is {wanted}, stage "{wish.stage}" emits {has}')
        return None


def _described(stage: str, ports: Mapping[str, PortType]) -> str:
    return listed(f"{stage}.{name} ({kind.type}, {kind.kind})" for name, kind in ports.items())
