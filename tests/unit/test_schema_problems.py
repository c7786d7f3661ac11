"""Every way in which a payload does not fit its type is told, by path."""

import datetime
import decimal
import enum
import uuid
from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, Required, TypedDict, TypeVar

import msgspec
import pytest
from msgspec import Meta, Struct

from purista_fast.errors import HandledError
from purista_fast.schema import Codec, Signature, problems

T = TypeVar("T")
Percent = Annotated[int, Meta(ge=0, le=100)]


class Inner(Struct, forbid_unknown_fields=True):
    level: Percent
    name: Annotated[str, Meta(min_length=2)] = "ab"


class Camel(Struct, rename="camel"):
    my_level: int


class Cat(Struct, tag="cat"):
    lives: int


class Dog(Struct, tag="dog"):
    name: str


class Row(Struct, array_like=True):
    a: int
    b: str


class Tree(Struct):
    n: int
    children: "list[Tree]" = []  # msgspec copies it


class Box(Struct, Generic[T]):
    value: T


@dataclass
class Order:
    number: int
    items: list[Inner]
    labels: dict[str, Percent] = field(default_factory=dict)


class Options(TypedDict, total=False):
    speed: Required[int]
    mode: Literal["fast", "slow"]


class Pair(NamedTuple):
    left: int
    right: str = "r"


class Colour(enum.Enum):
    RED = "red"


Number = NewType("Number", int)


def required(*path: str | int) -> dict[str, Any]:
    return {"message": "Required", "path": list(path)}


def expected(what: str, got: str, *path: str | int) -> dict[str, Any]:
    return {"message": f"Expected `{what}`, got `{got}`", "path": list(path)}


@pytest.mark.parametrize(
    ("annotation", "data", "found"),
    [
        (int, b'"x"', [expected("int", "str")]),
        (Inner, b"[]", [expected("object", "array")]),
        (Inner, b"{}", [required("level")]),
        (
            Inner,
            b'{"level": 101, "name": "a"}',
            [
                {"message": "Expected `int` <= 100", "path": ["level"]},
                {"message": "Expected `str` of length >= 2", "path": ["name"]},
            ],
        ),
        (Inner, b'{"level": 1, "levle": 2}', [{"message": "Object contains unknown field `levle`", "path": []}]),
        (Camel, b'{"my_level": 1}', [required("myLevel")]),
        (
            Order,
            b'{"items": [{"level": 1}, {"level": 200}, {}], "labels": {"a": 1, "b": "x"}}',
            [
                required("number"),
                {"message": "Expected `int` <= 100", "path": ["items", 1, "level"]},
                required("items", 2, "level"),
                expected("int", "str", "labels", "b"),
            ],
        ),
        (Order, b'{"number": 1, "items": {}}', [expected("array", "object", "items")]),
        (
            Options,
            b'{"mode": "medium"}',
            [required("speed"), {"message": "Invalid enum value 'medium'", "path": ["mode"]}],
        ),
        (Cat | Dog, b'{"type": "cat", "lives": "nine"}', [expected("int", "str", "lives")]),
        (Cat | Dog, b'{"type": "cow"}', [{"message": "Invalid value 'cow'", "path": ["type"]}]),
        (Cat | Dog, b"{}", [{"message": "Object missing required field `type`", "path": []}]),
        (
            list[Cat | Dog],
            b'[{"type": "cat", "lives": "x"}, {"type": "dog", "name": 1}]',
            [expected("int", "str", 0, "lives"), expected("str", "int", 1, "name")],
        ),
        (int | str, b"1.5", [expected("int | str", "float")]),
        (Inner | None, b'{"level": -1}', [{"message": "Expected `int` >= 0", "path": ["level"]}]),
        (list[list[int]], b'[[1], ["a", 2, "b"]]', [expected("int", "str", 1, 0), expected("int", "str", 1, 2)]),
        (dict[int, int], b'{"1": 1, "2": "x"}', [expected("int", "str", "2")]),
        (tuple[int, str], b'["a", 1]', [expected("int", "str", 0), expected("str", "int", 1)]),
        (tuple[int, str], b"[1]", [{"message": "Expected `array` of length 2, got 1", "path": []}]),
        (tuple[int, ...], b'[1, "a", "b"]', [expected("int", "str", 1), expected("int", "str", 2)]),
        (Annotated[list[int], Meta(max_length=1)], b'[1, "a"]', [expected("int", "str", 1)]),
        (
            Annotated[list[int], Meta(max_length=1)],
            b"[1, 2]",
            [{"message": "Expected `array` of length <= 1", "path": []}],
        ),
        (
            Tree,
            b'{"n": "x", "children": [{"n": 1}, {"n": "y", "children": [{}]}]}',
            [
                expected("int", "str", "n"),
                expected("int", "str", "children", 1, "n"),
                required("children", 1, "children", 0, "n"),
            ],
        ),
        (Row, b'["a", 1]', [expected("int", "str", 0)]),
        (Pair, b'["a"]', [expected("int", "str", 0)]),
        (Box[int], b'{"value": "x"}', [expected("int", "str", "value")]),
        (int, b"1e400", [{"message": "Number out of range", "path": []}]),
        (int, b"{", [{"message": "Input data was truncated", "path": []}]),
    ],
    ids=lambda value: value.decode() if isinstance(value, bytes) else "",
)
def test_problems(annotation: Any, data: bytes, found: list[Any]) -> None:
    assert problems(annotation, data) == found
    with pytest.raises(msgspec.MsgspecError):
        Codec(annotation).decode(data)


@pytest.mark.parametrize(
    ("annotation", "data"),
    [
        (datetime.datetime, b'"2020-01-01T00:00:00Z"'),
        (datetime.date, b'"2020-01-01"'),
        (datetime.timedelta, b'"PT1S"'),
        (uuid.UUID, b'"6ba7b810-9dad-11d1-80b4-00c04fd430c8"'),
        (decimal.Decimal, b"1.5"),
        (bytes, b'"aGk="'),
        (Colour, b'"red"'),
        (Camel, b'{"myLevel": 1}'),
        (Row, b'[1, "a"]'),
        (Pair, b"[1]"),
        (Box[int], b'{"value": 1}'),
        (Tree, b'{"n": 1, "children": [{"n": 2}]}'),
        (Number, b"1"),
        (dict[int, int], b'{"1": 1}'),
        (dict[datetime.date, int], b'{"2020-01-01": 1}'),
        (set[int], b"[1, 1]"),
        (float, b"1"),
        (int, str(2**70).encode()),
        (None, b"null"),
        (Any, b'{"a": [null]}'),
    ],
    ids=str,
)
def test_what_fits_has_no_problems(annotation: Any, data: bytes) -> None:
    Codec(annotation).decode(data)
    assert problems(annotation, data) == []


def test_a_valid_neighbour_is_not_blamed() -> None:
    class Both(Struct):
        counts: dict[int, int]
        wrong: int

    found = problems(Both, b'{"counts": {"1": 1}, "wrong": "x"}')
    assert found == [expected("int", "str", "wrong")]


def test_parameters_with_a_default_are_looked_into() -> None:
    default = Inner(1)

    async def handler(ctx: object, *, inner: Inner = default, other: int = 0) -> None: ...

    parameter = Signature(handler, "command").parameter
    assert parameter is not None
    found = problems(parameter.type, b'{"inner": {"level": "x", "name": "a"}, "other": "y"}')
    assert sorted(problem["path"] for problem in found) == [["inner", "level"], ["inner", "name"], ["other"]]


def test_hostile_depth_and_length_are_bounded() -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    assert len(problems(list[int], deep)) == 1
    many = msgspec.json.encode(["x"] * 5000)
    assert len(problems(list[int], many)) == 1000


def test_reject_is_a_handled_400() -> None:
    with pytest.raises(HandledError) as caught:
        Codec(int).reject(b'"x"', "payload")
    assert (caught.value.status, caught.value.message) == (400, "input validation for payload failed:")
    assert caught.value.data == [expected("int", "str")]
