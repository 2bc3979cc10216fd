"""The commands that look at manifests and start nothing: validate, plan, graph, families."""

import sys
from collections.abc import Callable

from omnipipe.cli.arguments import FamiliesArgs, GraphArgs, PlanArgs, ValidateArgs
from omnipipe.cli.errors import UnreadableFile
from omnipipe.cli.exits import Exit
from omnipipe.cli.manifests import check_file, find_files, load
from omnipipe.families.registry import FamilyUnusable, family_names, find_family, load_requests
from omnipipe.spec.errors import ManifestError
from omnipipe.spec.plan import Plan
from omnipipe.spec.render import render_mermaid, render_text

__all__ = ["run"]

_EXAMPLE_FOLDER = "/run/omnipipe"
"""Where a Plan that is only looked at says that its sockets are."""


def run(args: ValidateArgs | PlanArgs | GraphArgs | FamiliesArgs) -> Exit:
    match args:
        case ValidateArgs():
            return _validate(args)
        case PlanArgs():
            sys.stdout.write("".join(plan.to_json() for plan in _plans(args)))
        case GraphArgs():
            render: Callable[[Plan], str] = render_mermaid if args.format == "mermaid" else render_text
            sys.stdout.write("\n".join(render(plan) for plan in _plans(args)))
        case FamiliesArgs():
            sys.stdout.write("\n".join(map(_describe, family_names())))
    return Exit.OK


def _validate(args: ValidateArgs) -> Exit:
    files = find_files(args.paths)
    broken = found = 0
    for file in files:
        try:
            check_file(file)
        except ManifestError as error:
            broken += 1
            found += len(error.findings)
            sys.stdout.write(f"{error}\n")
        except UnreadableFile as error:
            broken += 1
            found += 1
            sys.stdout.write(f"{file}: cannot read it: {error.reason}\n")
    if broken:
        sys.stdout.write(f"{_count(found, 'finding')} in {broken} of {_count(len(files), 'file')}\n")
        return Exit.INVALID
    sys.stdout.write(f"{_count(len(files), 'file')} valid\n")
    return Exit.OK


def _plans(args: PlanArgs | GraphArgs) -> list[Plan]:
    return [one.compile(lambda stage, n: f"ipc://{_EXAMPLE_FOLDER}/{stage}-{n}.sock") for one in load([args.file])]


def _describe(name: str) -> str:
    try:
        family = find_family(name)
        if family is not None:
            load_requests(family)
    except FamilyUnusable as error:  # the others are none the worse for it
        return f"{name}\n  {error}\n"
    if family is None:  # it went while we looked
        return f"{name}\n  cannot be loaded\n"
    lines = [f"{name}: {family.title}"]
    if family.needs_source:
        lines.append(f"  source: {', '.join(f'{scheme}://' for scheme in family.sources)}")
    lines.append(f"  outputs: {', '.join(output.name for output in family.outputs)}")
    width = max(len(stage.name) for stage in family.stages)
    lines += [f"  {stage.name:<{width}}  {stage.help}".rstrip() for stage in family.stages]
    return "\n".join(lines) + "\n"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
