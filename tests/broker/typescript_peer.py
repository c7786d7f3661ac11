"""Plays a PURISTA (TypeScript) process from the recordings, with nothing but paho-mqtt and json.

``python typescript_peer.py PORT`` serves ``EmailService/1/sendEmail`` (which fails for an address without ``@``) and
``EmailService/1/relay`` (which invokes ``Greeter/1/greet``), and emits ``newUserRegistered`` for each mail, without id
and timestamp, as the original does for the return value of a subscription. It says ``ready`` when it serves.
"""

from __future__ import annotations

import json
import sys
import time
import uuid
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

INSTANCE = "0af7651916cd43dd8448eb211c80319c"
LEVEL = "0_af7651916_cd43_dd8448_eb211_c80319_c"
OTP = json.dumps({"traceparent": "00-315d266349d990a339c32a8276f3ec0d-29e1eaed2977d922-01"})
SERVED = {"sendEmail": "send_email", "relay": "relay"}


def address(target: str) -> dict[str, str]:
    return {"serviceName": "EmailService", "serviceVersion": "1", "serviceTarget": target, "instanceId": INSTANCE}


class Peer:
    """One process with its connection."""

    def __init__(self, port: int) -> None:
        self.waiting: dict[str, dict[str, Any]] = {}
        self.client = paho.Client(CallbackAPIVersion.VERSION2, INSTANCE, protocol=paho.MQTTv5)
        self.client.on_message = self.arrived
        self.client.on_subscribe = self.subscribed
        self.client.connect("127.0.0.1", port)
        filters = [f"purista/+/+/+/+/+/+/+/+/{LEVEL}/+/+/+"]
        commands = "$share/sharedpurista/purista/command/+/+/+/+/+/+/+/+/email_service/1"
        filters += [f"{commands}/{level}" for level in SERVED.values()]
        self.missing = len(filters)
        for number, text in enumerate(filters, 2):
            properties = Properties(PacketTypes.SUBSCRIBE)
            properties.SubscriptionIdentifier = number
            self.client.subscribe(text, options=paho.SubscribeOptions(qos=1), properties=properties)

    def subscribed(self, *_: object) -> None:
        self.missing -= 1
        if not self.missing:
            print("ready", flush=True)

    def arrived(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        body = json.loads(message.payload)
        if body["messageType"] == "command":
            self.command(body)
        elif body["correlationId"] in self.waiting:
            # The answer of the command that a relay waits for, whichever it is, goes to whoever asked the relay.
            self.answer(self.waiting.pop(body["correlationId"]), body["payload"], body["messageType"], None)

    def command(self, body: dict[str, Any]) -> None:
        payload = body["payload"]["payload"]
        if body["receiver"]["serviceTarget"] == "relay":
            self.invoke(body, payload)
        elif "@" not in payload["to"]:
            error = {"status": 404, "message": "no such address", "data": {"to": payload["to"]}, "traceId": "1" * 32}
            self.answer(body, error, "commandErrorResponse", None)
        else:
            result = {"sent": True, "language": body["payload"]["parameter"].get("lang", "none")}
            self.answer(body, result, "commandSuccessResponse", "emailSent")
            event = {
                "messageType": "customMessage",
                "contentType": "application/json",
                "contentEncoding": "utf-8",
                "sender": address("sendEmail"),
                "payload": {"to": payload["to"]},
                "eventName": "newUserRegistered",
                "otp": OTP,
            }
            sender = f"{LEVEL}/email_service/1/send_email"
            self.publish(f"purista/custom_message/none/none/{sender}/new_user_registered/none/none/none/none", event)

    def invoke(self, caused_by: dict[str, Any], payload: Any) -> None:
        command = {
            "messageType": "command",
            "id": uuid.uuid4().hex,
            "correlationId": uuid.uuid4().hex,
            "timestamp": int(time.time() * 1000),
            "contentType": "application/json",
            "contentEncoding": "utf-8",
            "sender": address("relay"),
            "receiver": {"serviceName": "Greeter", "serviceVersion": "1", "serviceTarget": "greet"},
            "payload": {"payload": payload, "parameter": {}},
            "otp": OTP,
        }
        self.waiting[command["correlationId"]] = caused_by
        self.publish(f"purista/command/none/none/{LEVEL}/email_service/1/relay/none/none/greeter/1/greet", command)

    def answer(self, command: dict[str, Any], payload: Any, kind: str, event: str | None) -> None:
        to = command["sender"]
        response = {
            "id": command["id"],
            "correlationId": command["correlationId"],
            "traceId": command.get("traceId", "2" * 32),
            "contentType": "application/json",
            "contentEncoding": "utf-8",
            "timestamp": int(time.time() * 1000),
            "messageType": kind,
            "sender": address(command["receiver"]["serviceTarget"]),
            "receiver": to,
            "payload": payload,
            "otp": OTP,
        }
        if event is not None:
            response["eventName"] = event
        if kind == "commandErrorResponse":
            response["isHandledError"] = True
        # The names of the other side are lower case words in this play, so that they need no conversion.
        names = [to["instanceId"], to["serviceName"].lower(), to["serviceVersion"], to["serviceTarget"].lower()]
        level = {"commandSuccessResponse": "command_success_response", "commandErrorResponse": "command_error_response"}
        target = SERVED[command["receiver"]["serviceTarget"]]
        event_level = "email_sent" if event else "none"
        self.publish(
            f"purista/{level[kind]}/none/none/{LEVEL}/email_service/1/{target}/{event_level}/{'/'.join(names)}",
            response,
        )

    def publish(self, topic: str, body: dict[str, Any]) -> None:
        properties = Properties(PacketTypes.PUBLISH)
        properties.ContentType = "application/json"
        self.client.publish(topic, json.dumps(body), qos=1, properties=properties)


if __name__ == "__main__":
    Peer(int(sys.argv[1])).client.loop_forever()
