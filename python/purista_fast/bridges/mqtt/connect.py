"""What a CONNECT says."""

from __future__ import annotations

from paho.mqtt.properties import Properties

from .properties import connect_properties

__all__ = ("Connect", "Will")


class Will:
    """What the broker publishes when the connection breaks."""

    def __init__(self, topic: str, payload: bytes, properties: Properties) -> None:
        self.topic = topic
        self.payload = payload
        self.properties = properties


class Connect:
    """What a CONNECT says."""

    def __init__(
        self,
        client_id: str,
        *,
        clean_start: bool,
        session_expiry: int,
        receive_maximum: int,
        max_packet_size: int,
        max_payload_size: int,
        keep_alive: int,
        will: Will | None = None,
    ) -> None:
        self.client_id = client_id
        self.clean_start = clean_start
        self.keep_alive = keep_alive
        self.max_packet_size = max_packet_size
        self.max_payload_size = max_payload_size
        self.will = will
        self.properties = connect_properties(
            session_expiry=session_expiry, receive_maximum=receive_maximum, max_packet_size=max_packet_size
        )
