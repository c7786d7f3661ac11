"""The pieces that make little of much: windows, dead bands, throttles.

They are plain objects: no clock, no task, no bridge. The caller says what time it is, the time of the data, in seconds;
what is over is returned. Memory is bounded, and what is not taken in is counted and handed to ``left_out``. What each
piece knows can be taken out (``snapshot()``) and put back (``restore()``); :class:`Kept` does both with ``ctx.states``.

``import purista_fast`` does not import this package.
"""

from .band import DeadBand
from .checks import LeftOut
from .keep import Kept
from .throttle import Latest, Throttle
from .windows import Closed, Sliding, Tumbling

__all__ = ("Closed", "DeadBand", "Kept", "Latest", "LeftOut", "Sliding", "Throttle", "Tumbling")
