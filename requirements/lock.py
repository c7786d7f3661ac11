"""Prints what pyproject.toml asks for at run time and for development, for `make lock` to resolve."""

import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))
print(*project["project"]["dependencies"], *project["dependency-groups"]["dev"], sep="\n")
