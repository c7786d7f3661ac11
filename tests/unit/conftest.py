"""What the unit tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.disks import Disk, mounted


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A small disk of one's own; needs root."""
    with mounted(tmp_path / "disk") as made:
        yield made
