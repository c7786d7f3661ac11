"""The event bridge through an MQTT 5 broker."""

from .bridge import MqttBridge

__all__ = ("MqttBridge",)
