"""The messages that bridges make: commands, their answers, and what the framework says of itself."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import msgspec

from .._core import Address, Message, answer, new_traceparent
from ..errors import HandledError, ServiceError, StatusCode, UnhandledError
from .base import Consumer, Request

__all__ = ("batch_error", "command_message", "error_of", "response_message", "subscription_error", "timeout_message")

logger = logging.getLogger("purista_fast.bridge")
_encode = msgspec.json.Encoder().encode


class _ErrorPayload(msgspec.Struct, rename="camel", omit_defaults=True):
    """The payload of an error response."""

    status: int = 0
    message: str = ""
    data: Any = None
    trace_id: str | None = None


_decode_error = msgspec.json.Decoder(_ErrorPayload).decode


def command_message(request: Request, correlation_id: str | None = None) -> Message:
    """The command message of a request."""
    parameter = request.parameter if request.parameter is not None else b"{}"
    inner = b"" if request.payload is None else b'"payload":' + request.payload + b","
    return Message(
        "command",
        sender=request.sender,
        receiver=request.receiver,
        payload=b"{" + inner + b'"parameter":' + parameter + b"}",
        correlation_id=correlation_id,
        trace_id=request.trace_id,
        principal_id=request.principal_id,
        tenant_id=request.tenant_id,
        event_name=request.event_name,
        traceparent=request.traceparent,
    )


def response_message(
    command: Message,
    sender: Address,
    outcome: bytes | ServiceError,
    success_event: str | None = None,
    is_checked: bool = False,
) -> Message:
    """The answer to a command: its result as JSON, or its error.

    A response repeats the id of its command, and always has a trace id.

    :param is_checked: whether the result is known to be JSON that can be sent; see :func:`answer`.
    """
    if not isinstance(outcome, ServiceError):
        return answer(command, sender, outcome, success_event, is_checked)
    traceparent = new_traceparent(command.traceparent)
    trace_id = command.trace_id or traceparent[3:35]
    return Message(
        "commandErrorResponse",
        sender=sender,
        receiver=command.sender,
        payload=_encode(_ErrorPayload(int(outcome.status), outcome.message, outcome.data, trace_id)),
        id=command.id,
        correlation_id=command.correlation_id,
        trace_id=trace_id,
        principal_id=command.principal_id,
        tenant_id=command.tenant_id,
        traceparent=traceparent,
        is_handled_error=isinstance(outcome, HandledError),
    )


def error_of(response: Message) -> ServiceError:
    """The error that an error response carries; one that cannot be read is an ``UnhandledError`` 500."""
    try:
        found = _decode_error(response.payload or b"")
    except (msgspec.MsgspecError, RecursionError):
        logger.warning("the error response %s from %s cannot be read", response.id, response.sender)
        return UnhandledError(trace_id=response.trace_id)
    kind = HandledError if response.is_handled_error else UnhandledError
    status = found.status or StatusCode.INTERNAL_SERVER_ERROR
    return kind(status, found.message or None, found.data, trace_id=found.trace_id or response.trace_id)


def timeout_message(request: Request) -> Message:
    """What tells others that an invocation had no answer in time."""
    to = request.receiver
    target = {"serviceName": to.service_name, "serviceVersion": to.service_version, "serviceTarget": to.service_target}
    return Message(
        "infoInvokeTimeout",
        sender=request.sender,
        payload=_encode({"receiver": target, "timeout": request.timeout}),
        trace_id=request.trace_id,
        principal_id=request.principal_id,
        tenant_id=request.tenant_id,
        traceparent=request.traceparent,
    )


def subscription_error(consumer: Consumer, message: Message, error: Exception, fate: str = "") -> Message:
    """Logs that a subscription failed on a message, and makes the ``infoSubscriptionError`` that says so.

    :param fate: what becomes of the message, for the log.
    """
    address = consumer.address
    logger.error(
        "%s/%s/%s failed on %s %s (event %s, trace %s)%s: %s",
        address.service_name,
        address.service_version,
        address.service_target,
        message.message_type,
        message.id,
        message.event_name,
        message.trace_id or (message.traceparent or "")[3:35] or "-",
        fate,
        error,
        # A handled error says all there is to say.
        exc_info=None if isinstance(error, HandledError) else error,
    )
    return _failure(consumer, message, error)


def batch_error(consumer: Consumer, messages: Sequence[Message], error: Exception, fate: str = "") -> list[Message]:
    """The same for messages that were handled together: logged once, and told of each but such reports themselves.

    :param fate: what becomes of the messages, for the log.
    """
    others = f", and the {len(messages) - 1} others of its batch" if len(messages) > 1 else ""
    first = subscription_error(consumer, messages[0], error, others + fate)
    reports = [first, *(_failure(consumer, message, error) for message in messages[1:])]
    return [
        report
        for report, message in zip(reports, messages, strict=True)
        if message.message_type != "infoSubscriptionError"
    ]


def _failure(consumer: Consumer, message: Message, error: Exception) -> Message:
    """The ``infoSubscriptionError``."""
    about = {"messageId": message.id, "eventName": message.event_name, "error": type(error).__name__}
    return Message(
        "infoSubscriptionError",
        sender=consumer.address,
        payload=_encode(about),
        trace_id=message.trace_id,
        principal_id=message.principal_id,
        tenant_id=message.tenant_id,
        traceparent=message.traceparent,
    )
