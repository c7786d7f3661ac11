"""``python -m purista_fast.cli`` is ``purista-fast``."""

from . import main

main(prog_name="purista-fast")
