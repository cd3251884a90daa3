"""NamedTuple, as the module `typing` has it, for what is imported before a client can ask.

To import `typing` takes a tenth of the time of `initctl status`, and all that a client needs of it is this name. Type
checkers see the original; so do those modules that are not always needed.
"""

from __future__ import annotations

from collections import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NamedTuple
else:

    class _Fields(type):
        """What makes a class whose annotations are its fields into a tuple with these names."""

        def __new__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> type:
            if not bases:
                return super().__new__(cls, name, bases, body)
            fields = body.get("__annotations__", {})
            defaults = [body.pop(field) for field in fields if field in body]
            made_of = namedtuple(name, fields, defaults=defaults, module=body["__module__"])
            return type(name, (made_of,), {"__slots__": (), **body})

    class NamedTuple(metaclass=_Fields):
        """The base of classes of tuples with named and typed fields."""


__all__ = ["NamedTuple"]
