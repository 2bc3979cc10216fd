"""Writes golden/echo.yaml, everything that examples/echo.yaml becomes, for people who review what rendering does:
`python -m tests.unit.operator.children.golden`."""

from pathlib import Path

import yaml
from tests.unit.operator.children.manifests import render

__all__ = ["FILE", "golden"]

FILE = Path(__file__).parent / "golden" / "echo.yaml"
_HEAD = "# Made by `python -m tests.unit.operator.children.golden`; a test compares. Do not edit.\n"


class _Dumper(yaml.SafeDumper):
    """Texts of several lines stay so; objects that occur twice are written twice."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


def golden(manifest: str) -> str:
    """`manifest`: the example, whose spec is rendered under the tests' own name and uid."""
    objects = render(yaml.safe_load(manifest)["spec"]).objects
    return _HEAD + yaml.dump_all(objects, Dumper=_Dumper, sort_keys=False, width=120)


def example() -> str:
    return (Path(__file__).parents[4] / "examples" / "echo.yaml").read_text(encoding="utf-8")


if __name__ == "__main__":
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(golden(example()), encoding="utf-8")
