"""Where a model's weights come from, as `scheme://location`. Says whether a URL is well-formed; fetches nothing."""

import re
from dataclasses import dataclass
from typing import Final

from omnipipe.spec.suggest import meant

__all__ = ["SCHEMES", "Source", "likely_source", "parse_source"]

SCHEMES: Final[dict[str, tuple[re.Pattern[str], str]]] = {
    "hf": (re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?"), "hf://owner/name or hf://owner/name@revision"),
    "file": (re.compile(r"/[^\s]*"), "file:///absolute/path"),
    "pvc": (re.compile(r"[a-z0-9][a-z0-9.-]*(/[^\s]*)?"), "pvc://claim or pvc://claim/path"),
    "s3": (re.compile(r"[a-z0-9][a-z0-9.-]+(/[^\s]*)?"), "s3://bucket/prefix"),
    "oci": (re.compile(r"[\w.:-]+/[\w./-]+([:@][\w.:+-]+)?"), "oci://registry/repository:tag"),
    "builtin": (re.compile(r"[a-z0-9][a-z0-9._-]*"), "builtin://name"),
}
"""Scheme -> what its location looks like, for the machine and for people."""


@dataclass(frozen=True, slots=True)
class Source:
    scheme: str
    location: str
    """Everything after `scheme://`."""


_NAMED: Final = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
"""As hubs call a model."""


def likely_source(text: str) -> str:
    """What somebody meant who gave no scheme, as the end of a message; empty when that cannot be told."""
    if text.startswith("/") and not re.search(r"\s", text):
        return f'; did you mean "file://{text}"?'
    if text.startswith(("./", "../", "~")):
        return "; for a folder on this machine write file:// and its absolute path"
    return f'; did you mean "hf://{text}"?' if _NAMED.fullmatch(text) else ""


def parse_source(url: str) -> Source:
    """Raises ValueError with what would be right."""
    scheme, separator, location = url.partition("://")
    if not separator or scheme not in SCHEMES:
        raise ValueError(f'unknown source scheme "{scheme}"{meant(scheme, SCHEMES)}')
    pattern, shape = SCHEMES[scheme]
    if not pattern.fullmatch(location):
        raise ValueError(f'must be {shape}, got "{url}"')
    return Source(scheme, location)
