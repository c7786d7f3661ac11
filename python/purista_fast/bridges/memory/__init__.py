"""The event bridge inside one process."""

from .bridge import MemoryBridge

__all__ = ("MemoryBridge",)
