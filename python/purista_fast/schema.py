"""From the annotations of a handler to compiled encoders and decoders."""

from __future__ import annotations

import dataclasses
import inspect
import re
import types
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, Generic, NoReturn, TypeVar, Union, get_args, get_origin, get_type_hints, is_typeddict

import msgspec

from .errors import DefinitionError, HandledError, StatusCode

__all__ = ("Codec", "Signature", "problems")

T = TypeVar("T")

_encode: Callable[[Any], bytes] = msgspec.json.Encoder(decimal_format="number").encode
_PATH = re.compile(r" - at (?:`key` in )?`\$(.*)`$")
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]|\[\.\.\.\]")
_MOST_PROBLEMS = 1000
_NO_PAYLOAD = inspect.Parameter.empty


class Codec(Generic[T]):
    """Encodes and decodes one type; made once, when a service is defined.

    >>> codec = Codec(dict[str, int])
    >>> codec.encode({"a": 1}), codec.decode(b'{"a":1}')
    (b'{"a":1}', {'a': 1})

    :raises DefinitionError: if msgspec does not know what to do with the type.
    """

    __slots__ = ("decode", "encode", "type")

    def __init__(self, annotation: Any) -> None:
        self.type = annotation
        self.encode = _encode
        try:
            self.decode: Callable[[bytes], T] = msgspec.json.Decoder(annotation).decode
            self.schema()
        except (TypeError, NameError) as error:
            raise DefinitionError(f"{annotation!r} cannot be a payload: {error}") from error

    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the type; ``{}`` (anything) for ``object``."""
        return msgspec.json.schema(self.type, schema_hook=_schema_of_custom)

    def reject(self, data: bytes | None, what: str, error: Exception | None = None) -> NoReturn:
        """Raises the error for input that does not fit.

        :raises HandledError: always: 400, with every problem as ``{"message", "path"}``.
        """
        if data is None:
            found: list[dict[str, Any]] = [{"message": "Required", "path": []}]
        else:
            found = problems(self.type, data, error)
        error = HandledError(StatusCode.BAD_REQUEST, f"input validation for {what} failed:", found)
        error.is_final = True
        raise error


def _schema_of_custom(annotation: Any) -> dict[str, Any]:
    """Refuses the types that msgspec leaves to hooks, of which there are none."""
    if annotation is object:
        return {}
    raise TypeError(f"no JSON can be made of {annotation!r}; use a msgspec Struct, a dataclass or a TypedDict")


class Signature:
    """What a handler takes and gives.

    The first argument is the context; the second, if it is there, the payload; keyword-only ones are the parameter.

    :raises DefinitionError: for a handler of another form.
    """

    __slots__ = ("is_async", "parameter", "parameter_names", "payload", "payload_default", "payload_name", "result")

    def __init__(self, function: Callable[..., Any], what: str, *, takes_payload: bool = True) -> None:
        positional, keywords = _parameters(function, what)
        if not takes_payload and (len(positional) > 1 or keywords):
            raise DefinitionError(f"{what} takes the context and nothing else")
        try:
            hints = get_type_hints(function, include_extras=True)
        except NameError as error:
            raise DefinitionError(
                f"{what}: an annotation cannot be resolved: {error}. Types must be defined at the top of a module, "
                "and imported outside `if TYPE_CHECKING`"
            ) from error
        except (TypeError, AttributeError) as error:
            raise DefinitionError(
                f"{what}: its annotations cannot be read: {error}. A handler is a function or a method; wrap a "
                "partial or a callable object in one"
            ) from error
        if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
            raise DefinitionError(f"{what} must not `yield`: a generator would never run")
        self.is_async = inspect.iscoroutinefunction(function)
        self.payload: Codec[Any] | None = None
        self.payload_default: Any = _NO_PAYLOAD
        self.payload_name = ""
        if len(positional) == 2:
            self.payload = Codec(hints.get(positional[1].name, Any))
            self.payload_default = positional[1].default
            self.payload_name = positional[1].name
        self.parameter_names = frozenset(parameter.name for parameter in keywords)
        self.parameter: Codec[Any] | None = _parameter_codec(keywords, hints) if keywords else None
        self.result: Codec[Any] = Codec(hints.get("return", Any))

    def item(self, what: str) -> Codec[Any]:
        """One payload, of a handler that gets a list of them.

        :raises DefinitionError: if the handler is not of that form.
        """
        annotation = None if self.payload is None else self.payload.type
        if annotation is not Any and annotation is not list and get_origin(annotation) is not list:
            raise DefinitionError(f"{what} has a batch, so its payload must be a list: `payloads: list[Reading]`")
        if self.parameter is not None:
            raise DefinitionError(f"{what} has a batch, so it can have no parameter: {sorted(self.parameter_names)}")
        return Codec(next(iter(get_args(annotation)), Any))

    @property
    def needs_payload(self) -> bool:
        """Whether there is a payload without a default."""
        return self.payload is not None and self.payload_default is _NO_PAYLOAD


def _parameters(function: Callable[..., Any], what: str) -> tuple[list[inspect.Parameter], list[inspect.Parameter]]:
    parameters = list(inspect.signature(function).parameters.values())
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    keywords = [p for p in parameters if p.kind is p.KEYWORD_ONLY]
    if len(positional) + len(keywords) != len(parameters):
        raise DefinitionError(f"{what}: *args and **kwargs cannot be described by a schema; name each parameter")
    if not positional:
        raise DefinitionError(f"{what} must take the context as its first argument: `{function.__name__}(ctx, …)`")
    if len(positional) > 2:
        raise DefinitionError(
            f"{what} takes the context and one payload; `{positional[2].name}` is one too many: "
            "put it behind a `*` to make it part of the parameter"
        )
    return positional, keywords


def _parameter_codec(keywords: list[inspect.Parameter], hints: Mapping[str, Any]) -> Codec[Any]:
    fields: list[Any] = []
    for parameter in keywords:
        annotation = hints.get(parameter.name, Any)
        if parameter.default is parameter.empty:
            fields.append((parameter.name, annotation))
        else:
            # A default that the sender left out is filled in by the handler itself.
            fields.append((parameter.name, Union[annotation, msgspec.UnsetType], msgspec.UNSET))  # noqa: UP007 - `|` fails for a text
    return Codec(msgspec.defstruct("Parameter", fields, kw_only=True))


def problems(annotation: Any, data: bytes, error: Exception | None = None) -> list[dict[str, Any]]:
    """Every way in which JSON does not fit a type, as PURISTA reports it; at most 1,000 of them.

    >>> problems(dict[str, int], b'{"a": "x", "b": 1, "c": null}')
    ... # doctest: +NORMALIZE_WHITESPACE
    [{'message': 'Expected `int`, got `str`', 'path': ['a']},
     {'message': 'Expected `int`, got `null`', 'path': ['c']}]
    """
    try:
        value = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as broken:
        return [{"message": str(broken), "path": []}]
    found = list(islice(_walk(annotation, value, []), _MOST_PROBLEMS))
    return found or ([_problem(error, [])] if error else [])


def _walk(annotation: Any, value: Any, path: list[str | int]) -> Iterator[dict[str, Any]]:
    """The problems of a value, those of its parts rather than of the whole where there are any."""
    try:
        msgspec.convert(value, annotation, str_keys=True)
        return
    except (msgspec.ValidationError, RecursionError) as error:
        whole = _problem(error, path)
    inner = False
    for key, part_type, part in _parts(annotation, value):
        if part is msgspec.UNSET:
            yield {"message": "Required", "path": [*path, key]}
            inner = True
            continue
        for problem in _walk(part_type, part, [*path, key]):
            yield problem
            inner = True
    if not inner:
        yield whole


def _parts(annotation: Any, value: Any) -> Iterator[tuple[str | int, Any, Any]]:
    """Key, type and value of each part; the value is UNSET where a part is missing."""
    origin = get_origin(annotation)
    if origin is not None and hasattr(annotation, "__metadata__"):
        yield from _parts(get_args(annotation)[0], value)
    elif origin in (Union, types.UnionType):
        fitting = [part for part in get_args(annotation) if part not in (type(None), msgspec.UnsetType)]
        if len(fitting) == 1:
            yield from _parts(fitting[0], value)
    elif isinstance(value, dict) and origin in (dict, Mapping) and len(get_args(annotation)) == 2:
        for key, part in value.items():
            yield key, get_args(annotation)[1], part
    elif isinstance(value, list) and origin in (list, set, frozenset, tuple) and get_args(annotation):
        arguments = get_args(annotation)
        fixed = origin is tuple and arguments[-1] is not ...
        for index, part in enumerate(value[: len(arguments)] if fixed else value):
            yield index, arguments[index] if fixed else arguments[0], part
    elif isinstance(value, dict):
        for name, part_type, required in _fields(annotation):
            if name in value:
                yield name, part_type, value[name]
            elif required:
                yield name, part_type, msgspec.UNSET


def _fields(annotation: Any) -> Iterator[tuple[str, Any, bool]]:
    """Name on the wire, type, and whether it is required, of each field."""
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        for field in msgspec.structs.fields(annotation):
            yield field.encode_name, field.type, field.required
    elif isinstance(annotation, type) and dataclasses.is_dataclass(annotation):
        hints = get_type_hints(annotation, include_extras=True)
        for item in dataclasses.fields(annotation):
            required = item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING
            yield item.name, hints[item.name], required
    elif is_typeddict(annotation):
        for name, part_type in get_type_hints(annotation).items():
            yield name, part_type, name in annotation.__required_keys__


def _problem(error: Exception, path: list[str | int]) -> dict[str, Any]:
    text = str(error)
    found = _PATH.search(text)
    if found is None:
        return {"message": text, "path": path}
    steps: list[str | int] = [
        step.group(1) or (int(step.group(2)) if step.group(2) else "...") for step in _STEP.finditer(found.group(1))
    ]
    return {"message": text[: found.start()], "path": [*path, *steps]}
