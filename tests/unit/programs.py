"""Programs that some tests cannot do without."""

import shutil

__all__ = ("systemd_analyze",)


def systemd_analyze() -> str:
    """Where it is.

    :raises RuntimeError: if it is not installed: a missing program is an error, not a skip.
    """
    found = shutil.which("systemd-analyze")
    if found is None:
        raise RuntimeError("systemd-analyze is not installed; the tests need it: apt install systemd")
    return found
