"""The event bridge through an MQTT 5 broker."""

from .proxies import import_paho

import_paho()  # before the bridge does

from .bridge import MqttBridge  # noqa: E402 - see above

__all__ = ("MqttBridge",)
