"""The type of what msgspec can make JSON of; for type checkers alone, nothing imports it when it runs."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import uuid
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, ClassVar, Protocol, TypeAlias

import msgspec

__all__ = ("Jsonable",)


class _DataclassInstance(Protocol):
    """Any instance of any dataclass."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]


Jsonable: TypeAlias = (
    msgspec.Struct
    | _DataclassInstance
    | Mapping[Any, Any]
    | Sequence[Any]
    | AbstractSet[Any]
    | str
    | float
    | bytes
    | bytearray
    | memoryview
    | datetime.date
    | datetime.time
    | datetime.timedelta
    | decimal.Decimal
    | enum.Enum
    | uuid.UUID
    | msgspec.Raw
    | None
)
"""What a handler may return. It leaves out coroutines, which would fit a type variable without a bound."""
