"""``python -m purista_fast.cli`` is ``purista-fast``."""

from . import main

main()
