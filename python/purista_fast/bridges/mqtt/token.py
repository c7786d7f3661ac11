"""A password that is made for each connection: asked of a function of the user's, and shown to nobody."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable

import anyio
import anyio.to_thread

__all__ = ("Token", "TokenFailed", "ask_token")

Token = Callable[[], str | Awaitable[str]]
"""Gives the password for one connection. A plain function runs in a thread."""
_LONGEST = 65_535


class TokenFailed(Exception):  # noqa: N818 - an attempt that failed, not an error of this code
    """There is no token for this attempt."""


async def ask_token(token: Token, timeout: float) -> str:
    """A new token.

    What the function raises is told by its type alone, for its text may hold the token.

    :param timeout: how long the function may take, in seconds.
    :raises TokenFailed: if it raises, takes too long, or gives no text.
    """
    found: object = None
    failure = ""
    try:
        with anyio.fail_after(timeout):
            if inspect.iscoroutinefunction(token):
                found = token()
            else:
                (found,) = await anyio.to_thread.run_sync(
                    _boxed(token), abandon_on_cancel=True, limiter=anyio.CapacityLimiter(1)
                )
            if inspect.isawaitable(found):
                found = await found
    except TimeoutError:
        failure = f"the token function gave nothing within {timeout:g} s, or raised a TimeoutError"
    except Exception as error:  # noqa: BLE001 - whatever a user's function raises
        failure = f"the token function raised {type(error).__name__}"
    # Raised out here, so that no traceback leads to the text of the error.
    if failure:
        raise TokenFailed(failure)
    if not isinstance(found, str) or not found:
        raise TokenFailed(f"the token function must give a text that is not empty, not {type(found).__name__}")
    if len(found.encode("utf-8", "replace")) > _LONGEST:
        raise TokenFailed(f"the token has more than {_LONGEST} bytes, which MQTT does not carry")
    return found


def _boxed(token: Token) -> Callable[[], tuple[object]]:
    """trio wants no bare coroutine out of a thread."""
    return lambda: (token(),)
