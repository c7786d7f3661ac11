"""Which types leave no part of their JSON unread."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec.inspect

__all__ = ("is_closed_type",)

_DEEPEST = 200


def is_closed_type(annotation: Any) -> bool:
    """Whether JSON that was decoded as this type needs no other look before it is sent.

    So it is if the type holds neither :class:`msgspec.Raw` nor anything (``Any``, ``object``), in which JSON of any
    depth may stand, nor itself. Fields that a struct does not know are passed over by msgspec: it reads their JSON,
    but lets them nest as they like.

    >>> is_closed_type(list[int]), is_closed_type(dict[str, Any])
    (True, False)
    """
    return _is_closed(msgspec.inspect.type_info(annotation), ())


def _is_closed(kind: Any, above: tuple[int, ...]) -> bool:
    if isinstance(
        kind,
        msgspec.inspect.AnyType | msgspec.inspect.RawType | msgspec.inspect.CustomType | msgspec.inspect.ExtType,
    ):
        return False
    if id(kind) in above or len(above) >= _DEEPEST:
        return False
    above = (*above, id(kind))
    return all(_is_closed(part, above) for part in _parts(kind))


def _parts(kind: msgspec.Struct) -> Iterator[Any]:
    """The types that a type is made of."""
    for name in kind.__struct_fields__:
        value = getattr(kind, name)
        for item in value if isinstance(value, tuple) else (value,):
            if isinstance(item, msgspec.inspect.Field):
                yield item.type
            elif isinstance(item, msgspec.inspect.Type):
                yield item
