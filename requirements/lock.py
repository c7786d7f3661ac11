"""For `make lock`: prints what pyproject.toml asks for to run and to develop, or what the group named asks for."""

import sys
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))
groups = project["dependency-groups"]
if len(sys.argv) > 1:
    print(*groups[sys.argv[1]], sep="\n")
else:
    print(*project["project"]["dependencies"], *groups["dev"], sep="\n")
