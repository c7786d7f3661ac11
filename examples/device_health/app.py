"""The demo's application; its services are in python/purista_fast/demo, so that an installed package has them too."""

from purista_fast.demo import app

__all__ = ("app",)
