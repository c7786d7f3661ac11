"""Payloads and parameters: from Python to JSON at the caller, and back for the handler."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from .definition import Command, Function
from .errors import PayloadError
from .schema import Codec, problems

__all__ = ("encode_arguments", "encode_payload", "reader")

_ANY: Codec[Any] = Codec(Any)
_MISSING = inspect.Parameter.empty


def encode_arguments(
    command: Command[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[bytes | None, bytes | None]:
    """Payload and parameter of a call as JSON.

    :raises TypeError: if the arguments are not those of the command, or no JSON can be made of them.
    """
    signature = command.signature
    if len(args) > (signature.payload is not None):
        raise TypeError(
            f"{command.label} takes {'one payload' if signature.payload else 'no payload'}, not {len(args)}"
        )
    if signature.payload is not None and not args and signature.payload_name in kwargs:
        kwargs = dict(kwargs)
        args = (kwargs.pop(signature.payload_name),)
    if signature.needs_payload and not args:
        raise TypeError(f"{command.label} needs a payload: `invoke({command.name}, {signature.payload_name}, …)`")
    if not kwargs.keys() <= signature.parameter_names:
        unknown = sorted(kwargs.keys() - signature.parameter_names)
        raise TypeError(f"{command.label} has no parameter {unknown}; it has {sorted(signature.parameter_names)}")
    payload = signature.payload.encode(args[0]) if args and signature.payload else None
    return payload, _ANY.encode(kwargs) if kwargs else None


def encode_payload(codec: Codec[Any], payload: Any, what: str) -> bytes:
    """The payload as JSON that fits its schema.

    :raises PayloadError: if it does not.
    """
    try:
        data = codec.encode(payload)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise PayloadError(
            f"{what}: no JSON can be made of its payload", [{"message": str(error), "path": []}]
        ) from error
    try:
        codec.decode(data)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise PayloadError(f"{what}: the payload does not fit", problems(codec.type, data, error)) from error
    return data


def reader(function: Function) -> Callable[[bytes | None, bytes | None], tuple[Any, Mapping[str, Any]]]:
    """Makes what decodes payload and parameter of a message for a handler."""
    signature = function.signature
    payload_codec, parameter_codec = signature.payload, signature.parameter
    names = signature.parameter_names
    default = signature.payload_default
    nothing: Mapping[str, Any] = MappingProxyType({})

    def read(payload: bytes | None, parameter: bytes | None) -> tuple[Any, Mapping[str, Any]]:
        value: Any = None
        if payload_codec is not None:
            if payload is not None:
                try:
                    value = payload_codec.decode(payload)
                except (msgspec.MsgspecError, RecursionError) as error:
                    payload_codec.reject(payload, "payload", error)
            elif default is not _MISSING:
                value = default
            else:
                payload_codec.reject(None, "payload")
        if parameter_codec is None:
            return value, nothing
        try:
            found = parameter_codec.decode(parameter if parameter is not None else b"{}")
        except (msgspec.MsgspecError, RecursionError) as error:
            parameter_codec.reject(parameter or b"{}", "parameter", error)
        given = ((name, getattr(found, name)) for name in names)
        return value, {name: item for name, item in given if item is not msgspec.UNSET}

    return read
