"""Our own codec, in Rust; paho is not even imported."""

from __future__ import annotations

from ...._core import (
    Connack,
    pack_connect,
    pack_disconnect,
    pack_subscribe,
    pack_unsubscribe,
    read_control,
)
from ..connect import Connect

__all__ = ("Native",)


class Native:
    """See :class:`Transport`."""

    def connect(self, connect: Connect, username: str | None, password: str | None) -> bytes:
        """See :class:`Transport`."""
        will = None
        if connect.will is not None:
            w = connect.will
            will = (w.topic, w.payload, w.delay, w.expiry, w.content_type, list(w.user))
        return pack_connect(
            connect.client_id,
            clean_start=connect.clean_start,
            keep_alive=connect.keep_alive,
            session_expiry=connect.session_expiry,
            receive_maximum=connect.receive_maximum,
            maximum_packet_size=connect.max_packet_size,
            will=will,
            username=username,
            password=None if password is None else password.encode(),
        )

    def subscribe(self, mid: int, text: str, identifier: int | None, options: int) -> bytes:
        """See :class:`Transport`."""
        return pack_subscribe(mid, text, identifier, options)

    def unsubscribe(self, mid: int, text: str) -> bytes:
        """See :class:`Transport`."""
        return pack_unsubscribe(mid, text)

    def disconnect(self, session_expiry: int) -> bytes:
        """See :class:`Transport`."""
        return pack_disconnect(session_expiry)

    def read(self, packet: bytes) -> Connack | tuple[int, bytes] | int | None:
        """See :class:`Transport`."""
        return read_control(packet)
