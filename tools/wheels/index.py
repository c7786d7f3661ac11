"""The pages of a package index (PEP 503) for a folder of wheels."""

import hashlib
import re
from collections import defaultdict
from html import escape
from pathlib import Path

PAGE = """<!DOCTYPE html>
<html><head><meta name="pypi:repository-version" content="1.0"><title>{0}</title></head><body>
{1}
</body></html>
"""


def write(folder: Path) -> None:
    """Writes `folder/simple/`, which links to the wheels in `folder` with their hashes."""
    projects: defaultdict[str, list[Path]] = defaultdict(list)
    for wheel in sorted(folder.glob("*.whl")):
        projects[re.sub(r"[-_.]+", "-", wheel.name.split("-")[0]).lower()].append(wheel)
    links = [f'<a href="{project}/">{project}</a><br>' for project in projects]
    (folder / "simple").mkdir(exist_ok=True)
    (folder / "simple/index.html").write_text(PAGE.format("wheels", "\n".join(links)), "utf-8")
    for project, wheels in projects.items():
        links = [
            f'<a href="../../{escape(wheel.name)}#sha256={hashlib.sha256(wheel.read_bytes()).hexdigest()}">'
            f"{escape(wheel.name)}</a><br>"
            for wheel in wheels
        ]
        (folder / "simple" / project).mkdir(exist_ok=True)
        (folder / "simple" / project / "index.html").write_text(PAGE.format(project, "\n".join(links)), "utf-8")
