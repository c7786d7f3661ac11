"""What is read from a handler's annotations, and what is refused with which words."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from msgspec import Struct

from purista_fast import Context, DefinitionError
from purista_fast.schema import Codec, Signature

if TYPE_CHECKING:
    from decimal import Decimal as OnlyForTypeCheckers


class Reading(Struct):
    celsius: float


async def full(ctx: Context, payload: Reading, *, site: str = "home", level: int) -> dict[str, int]:
    raise NotImplementedError


async def bare(ctx):  # type: ignore[no-untyped-def]
    raise NotImplementedError


def plain(ctx: Context, payload: int = 3) -> None: ...


class Callable_:  # noqa: N801
    async def method(self, ctx: Context, payload: int) -> int:
        return payload


async def stars(ctx: Context, *args: int) -> None: ...


async def double_stars(ctx: Context, **kwargs: int) -> None: ...


async def nothing() -> None: ...


async def three(ctx: Context, a: int, b: int) -> None: ...


async def hidden(ctx: Context, payload: "OnlyForTypeCheckers") -> None: ...


async def unknown_type(ctx: Context, payload: Callable[[], None]) -> None: ...


async def two_structs(ctx: Context, payload: Reading | Context) -> None: ...


def test_a_full_signature() -> None:
    signature = Signature(full, "command")
    assert signature.is_async
    assert signature.payload is not None
    assert signature.payload.decode(b'{"celsius": 1}') == Reading(1.0)
    assert signature.needs_payload
    assert signature.payload_name == "payload"
    assert signature.parameter_names == {"site", "level"}
    assert signature.result.decode(b'{"a": 1}') == {"a": 1}
    assert signature.parameter is not None
    definition = signature.parameter.schema()["$defs"]["Parameter"]
    assert definition["required"] == ["level"]
    assert set(definition["properties"]) == {"site", "level"}


def test_annotations_that_are_missing_mean_anything() -> None:
    signature = Signature(bare, "command")
    assert (signature.payload, signature.parameter, signature.needs_payload) == (None, None, False)
    assert signature.result.decode(b'[1, {"a": null}]') == [1, {"a": None}]


def test_a_plain_function_and_a_default() -> None:
    signature = Signature(plain, "command")
    assert not signature.is_async
    assert signature.payload_default == 3
    assert not signature.needs_payload


def test_a_bound_method() -> None:
    signature = Signature(Callable_().method, "command")
    assert signature.is_async
    assert signature.payload_name == "payload"


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (stars, "command X/1/f: *args and **kwargs cannot be described by a schema; name each parameter"),
        (double_stars, "*args and **kwargs cannot be described by a schema"),
        (nothing, "must take the context as its first argument: `nothing(ctx, …)`"),
        (three, "`b` is one too many: put it behind a `*` to make it part of the parameter"),
        (hidden, "an annotation cannot be resolved: name 'OnlyForTypeCheckers' is not defined. Types must be defined"),
        (unknown_type, "cannot be a payload"),
        (two_structs, "cannot be a payload"),
    ],
)
def test_what_is_refused(function: Any, words: str) -> None:
    with pytest.raises(DefinitionError, match=re.escape(words)):
        Signature(function, "command X/1/f")


def test_the_schema_of_a_type_without_one_is_anything() -> None:
    assert Codec(Any).schema() == {}
    assert Codec(int).schema() == {"type": "integer"}
