"""Prints the requirements of the distribution with the given extras, for pip: the cached environment holds these,
and not the tree itself."""

import sys
import tomllib
from pathlib import Path


def main(extras: list[str]) -> None:
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    print("\n".join(project["dependencies"]))
    for extra in extras:
        print("\n".join(project["optional-dependencies"][extra]))


if __name__ == "__main__":
    main(sys.argv[1:])
