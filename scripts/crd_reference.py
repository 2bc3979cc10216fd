"""docs/crd-reference.md: every field of our kinds with its type, bounds, default, words and rules, out of the CRDs.

Pure; `scripts/generate.py` writes it and a test compares.
"""

from collections.abc import Iterator
from typing import Final

from omnipipe.spec.crd import pipeline_crd, stage_crd
from omnipipe.spec.scalars import PATTERN_WORDS
from omnipipe.spec.structural import Schema

__all__ = ["render_reference"]

_HEAD: Final = """\
# CRD reference

<!-- Generated from omnipipe.spec by `make generate`; a test compares. Do not edit. -->

Group `omnipipe.dev`, version `v1alpha1`. `kubectl explain omnipipeline.spec.stages` says the same at a terminal.

`omnipipe validate`, the API server, the admission webhook and the operator check one set of rules. What is listed here
under *Rules* the API server checks by itself; what needs the model's family (stage types, ports, options, cycles) the
others add, and where there is no webhook it stands in the condition `Accepted`.
"""
_QUANTITY: Final = "x-kubernetes-int-or-string"
_OPAQUE: Final = "x-kubernetes-preserve-unknown-fields"


def render_reference() -> str:
    seen: dict[str, str] = {}
    parts = [_HEAD]
    for crd in (pipeline_crd(), stage_crd()):
        kind = crd["spec"]["names"]["kind"]
        (version,) = crd["spec"]["versions"]
        root = version["schema"]["openAPIV3Schema"]
        parts += [f"## {kind}\n", _names(crd), f"{root['description']}\n", *_rules(root)]
        for name in ("spec", "status"):
            parts += _section(root["properties"][name], f"{kind}.{name}", seen)
    return "\n".join(parts).rstrip() + "\n"


def _names(crd: Schema) -> str:
    names = crd["spec"]["names"]
    also = [f"`{name}`" for name in names.get("shortNames", [])]
    more = f" Short name {', '.join(also)}." if also else ""
    (version,) = crd["spec"]["versions"]
    parts = [f"`{name}`" for name in version["subresources"]]
    return f"Resource `{names['plural']}`.{more} Subresources {', '.join(parts)}.\n"


def _section(schema: Schema, path: str, seen: dict[str, str]) -> Iterator[str]:
    """The section at the path and those below it. `seen`: what has been written, and where."""
    yield f"### {path}\n"
    if "description" in schema and path.count(".") == 1:
        yield f"{schema['description']}\n"
    like = seen.setdefault(repr(_without_words(schema)), path)
    if like != path:
        yield f"As [{like}](#{_anchor(like)}).\n"
        return
    yield from _table(schema, path)
    yield from _rules(schema)
    for name, part in schema["properties"].items():
        inner, ending = (part["items"], "[]") if "items" in part else (part, "")
        if inner.get("properties") and not inner.get(_OPAQUE):
            if ending and "x-kubernetes-validations" in part:
                inner = {**inner, "rules of the list": part["x-kubernetes-validations"]}
            yield from _section(inner, f"{path}.{name}{ending}", seen)


def _without_words(schema: Schema) -> Schema:
    return {key: value for key, value in schema.items() if key != "description"}


def _table(schema: Schema, path: str) -> Iterator[str]:
    required = schema.get("required", [])
    rows = ["| field | type | default | |", "|---|---|---|---|"]
    for name, part in schema["properties"].items():
        default = "*required*" if name in required else _default(part)
        label = f"[`{name}`](#{_anchor(path + '.' + name + ('[]' if 'items' in part else ''))})"
        title = label if _has_section(part) else f"`{name}`"
        words = _words(part.get("description", ""))
        rows.append(f"| {title} | {_type(part)} | {default} | {words} |")
    yield "\n".join(rows) + "\n"


def _has_section(part: Schema) -> bool:
    inner = part.get("items", part)
    return bool(inner.get("properties")) and not inner.get(_OPAQUE)


def _default(part: Schema) -> str:
    value = part.get("default")
    if value in (None, "") or isinstance(value, dict):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _type(part: Schema) -> str:
    bounds = _bounds(part)
    return _kind(part) + (f"; {bounds}" if bounds else "")


def _kind(part: Schema) -> str:
    if "enum" in part:
        return "one of " + ", ".join(f"`{value}`" for value in part["enum"])
    if part.get(_QUANTITY):
        return "quantity"
    match part.get("type"):
        case "array":
            return f"list of {_plural(part['items'])}"
        case "object" if "additionalProperties" in part:
            return f"map of {_plural(part['additionalProperties'])}"
        case "object":
            return "any object" if part.get(_OPAQUE) else "section"
        case "integer":
            return "whole number"
        case "string" if part.get("format") == "date-time":
            return "time"
        case None:
            return "number, string or boolean"
        case kind:
            return str(kind)


def _plural(part: Schema) -> str:
    kind = _kind(part)
    words = {"section": "sections", "any object": "objects", "quantity": "quantities", "string": "strings"}
    return words.get(kind, kind)


def _bounds(part: Schema) -> str:
    inner: Schema = part.get("items") or part.get("additionalProperties") or part
    words = _words(PATTERN_WORDS.get(inner.get("pattern", ""), "").removeprefix("must be "))
    more = [words] if words and not inner.get(_QUANTITY) else []
    if "maxLength" in part and not part.get(_QUANTITY):
        more.append(f"at most {part['maxLength']} characters")
    if "minimum" in part or "maximum" in part:
        more.append(_range(part))
    for most in ("maxItems", "maxProperties"):
        if most in part and not part.get(_OPAQUE):
            least = f"{part['minItems']} to " if part.get("minItems") else "at most "
            more.append(f"{least}{part[most]}")
    return "; ".join(more)


def _range(part: Schema) -> str:
    low, high = part.get("minimum"), part.get("maximum")
    if part.get("exclusiveMinimum"):
        return f"more than {low:g}, at most {high:g}"
    return f"{low} to {high}"


def _rules(schema: Schema) -> Iterator[str]:
    lines = [_rule(rule, rule.get("fieldPath", "")) for rule in schema.get("x-kubernetes-validations", [])]
    lines += [_rule(rule, "the list") for rule in schema.get("rules of the list", [])]
    for name, part in schema.get("properties", {}).items():
        if not _has_section(part):
            lines += [_rule(rule, f".{name}") for rule in part.get("x-kubernetes-validations", [])]
            lines += [_rule(rule, f".{name}[]") for rule in part.get("items", {}).get("x-kubernetes-validations", [])]
    if lines:
        yield "Rules:\n\n" + "\n".join(lines) + "\n"


def _rule(rule: Schema, place: str) -> str:
    where = f"{place} " if place == "the list" else f"`{place.removeprefix('.')}` " if place else ""
    exactly = (
        "" if "matches(" in rule["rule"] else f": `{rule['rule']}`"
    )  # a regular expression says less than its words
    return f"- {where}{_words(rule['message'])}{exactly}"


def _words(text: str) -> str:
    """What Markdown would take for a column or for HTML is marked as text."""
    return text.replace("|", "\\|").replace("<", "\\<")


def _anchor(path: str) -> str:
    """As GitHub makes it of a heading."""
    return "".join(letter for letter in path.lower() if letter.isalnum() or letter in "-_")
