"""A Plan for people: a table with the edges below it, and a Mermaid flowchart. Pure; prints nothing."""

from collections.abc import Iterable, Sequence

from omnipipe.spec.plan import EdgeKind, Plan, PlanEdge, PlanStage

__all__ = ["render_mermaid", "render_text"]


def render_text(plan: Plan) -> str:
    """For a terminal. `->` is one whole value, `~>` a stream."""
    lines = [f"{plan.pipeline}  family {plan.family}, revision {plan.revision}"]
    if plan.source is not None:
        lines.append(f"source  {plan.source}")
    lines.append(f"serves  {', '.join(plan.gateway.served_names)}")
    rows = [("STAGE", "REPLICAS", "ENGINE", "BATCH", "RUNNING", "NOTE"), *(_row(stage, plan) for stage in plan.stages)]
    lines += ["", *_table(rows), ""]
    edges = [(edge.source, _arrow(edge), edge.target, _data(edge)) for edge in plan.edges]
    outputs = [(output.stage, "~>", f"({output.name})", f"{output.port}: {output.type}") for output in plan.outputs]
    return "\n".join([*lines, *_table([*edges, *outputs])]) + "\n"


def render_mermaid(plan: Plan) -> str:
    """For Markdown and the web. Stages are numbered, so that a name like `end` does not upset Mermaid."""
    ids = {stage.name: f"s{index}" for index, stage in enumerate(plan.stages)}
    lines = ["flowchart LR", "  client([request])"]
    for stage in plan.stages:
        times = f" x{len(stage.addresses)}" if len(stage.addresses) > 1 else ""
        lines.append(f'  {ids[stage.name]}["{stage.name}{times}"]')
    for index, output in enumerate(plan.outputs):
        lines.append(f'  o{index}(["{output.name}"])')
    lines += [f"  client --> {ids[name]}" for name in _entries(plan)]
    for edge in plan.edges:
        arrow = "-.->" if edge.kind is EdgeKind.STREAM else "-->"
        lines.append(f'  {ids[edge.source]} {arrow}|"{edge.port}: {edge.type}"| {ids[edge.target]}')
    for index, output in enumerate(plan.outputs):
        lines.append(f'  {ids[output.stage]} -.->|"{output.port}: {output.type}"| o{index}')
    return "\n".join(lines) + "\n"


def _entries(plan: Plan) -> list[str]:
    fed = {edge.target for edge in plan.edges}
    return [stage.name for stage in plan.stages if stage.name not in fed]


def _row(stage: PlanStage, plan: Plan) -> tuple[str, ...]:
    engine = stage.engine
    wait = f" wait {engine.max_wait_ms:g} ms" if engine.max_wait_ms else ""
    cost = f" cost {engine.max_cost}" if engine.max_cost is not None else ""
    notes = ["entry"] if stage.name in _entries(plan) else []
    if stage.type and stage.type != stage.name:
        notes.append(f"type {stage.type}")
    if stage.needs_input:
        notes.append(f"only with {', '.join(sorted(stage.needs_input))}")
    return (
        stage.name,
        str(len(stage.addresses)),
        f"{engine.kind} {engine.placement}",
        f"{engine.max_batch}{cost}{wait}",
        str(stage.max_running),
        "; ".join(notes),
    )


def _arrow(edge: PlanEdge) -> str:
    return "~>" if edge.kind is EdgeKind.STREAM else "->"


def _data(edge: PlanEdge) -> str:
    names = edge.port if edge.port == edge.input else f"{edge.port} as {edge.input}"
    return f"{names}: {edge.type}"


def _table(rows: Sequence[Sequence[str]]) -> Iterable[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
