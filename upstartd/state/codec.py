"""Frozen values to JSON and back, by their annotations.

What comes back is checked in every part: a value of the wrong shape is refused with the path to it, and never
becomes half of something. Handles the types that the state is made of, and no others: str, int, float, bool,
None, object (any JSON), enumerations, tuples, frozensets, mappings, unions, dataclasses and named tuples.
"""

from __future__ import annotations

import dataclasses
import enum
import types
import typing
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, TypeVar

from upstartd.engine.states import Goal, State

_Decoder = Callable[[Any, str], Any]
_Value = TypeVar("_Value")

# What stands before the names of these members, as readers of the state expect (runtime specification, 10).
_PREFIXES: dict[type, str] = {Goal: "JOB_", State: "JOB_"}


class DecodeError(ValueError):
    """JSON that is not what it should be; the message says where and why."""


# -- to JSON --------------------------------------------------------------------------------------------------


def encode(value: object) -> Any:
    """`value` as what json.dumps() takes. A field of a dataclass that has its default is left out."""
    match value:
        case enum.Enum():
            # A word means the same in every version, the number of a member without one does not.
            return value.value if isinstance(value, str) else _PREFIXES.get(type(value), "") + value.name
        case None | bool() | int() | float() | str():
            return value
        case tuple() | list():
            return [encode(each) for each in value]
        case frozenset():
            return sorted(encode(each) for each in value)
        case Mapping():
            return {_key(key): encode(each) for key, each in value.items()}
    if not dataclasses.is_dataclass(value):
        raise TypeError(f"cannot encode {type(value).__name__}")
    fields = _fields(typing.cast("Any", type(value)))
    return {name: encode(each) for name, default in fields if (each := getattr(value, name)) != default}


def _key(key: object) -> str:
    return key.value if isinstance(key, enum.StrEnum) else str(key)


@cache
def _fields(kind: Any) -> tuple[tuple[str, object], ...]:
    """The fields of a dataclass with their defaults."""
    return tuple(
        (field.name, field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default)
        for field in dataclasses.fields(kind)
    )


# -- from JSON ------------------------------------------------------------------------------------------------


def decode(kind: type[_Value], data: object, where: str = "state") -> _Value:
    """The value of type `kind` that encode() made `data` from. Raises DecodeError."""
    decoder: _Decoder = _decoder(kind)  # type: ignore[arg-type]  # a type variable counts as unhashable
    value: _Value = decoder(data, where)
    return value


def _wrong(where: str, wanted: str, data: object) -> DecodeError:
    return DecodeError(f"{where}: expected {wanted}, found {str(data)[:40]!r}")


@cache
def _decoder(kind: Any) -> _Decoder:
    """What decodes a value of this type."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is object:
        return lambda data, _: data
    if origin in (typing.Union, types.UnionType):
        return _union(arguments)
    if origin is tuple:
        return _array(arguments[0], tuple) if arguments[1:] == (...,) else _fixed_tuple(arguments)
    if origin is frozenset:
        return _array(arguments[0], frozenset)
    if origin is Mapping:
        return _mapping(*arguments)
    if not isinstance(kind, type):
        raise TypeError(f"cannot decode {kind}")
    if issubclass(kind, enum.Enum):
        return _enumeration(kind)
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind)
    return _plain(kind)


_NAMES = {str: "a text", int: "a whole number", float: "a number", bool: "true or false", type(None): "null"}


def _plain(kind: type) -> _Decoder:
    def decode_plain(data: Any, where: str) -> Any:
        # A bool is an int to Python, and an int will do for a float.
        if type(data) is kind:
            return data
        if kind is float and type(data) is int:
            return float(data)
        raise _wrong(where, _NAMES[kind], data)

    return decode_plain


def _enumeration(kind: type[enum.Enum]) -> _Decoder:
    known = {encode(member): member for member in kind}

    def decode_enumeration(data: Any, where: str) -> enum.Enum:
        if not isinstance(data, str | int) or data not in known:
            raise _wrong(where, f"a {kind.__name__}", data)
        return known[data]

    return decode_enumeration


def _union(kinds: tuple[Any, ...]) -> _Decoder:
    decoders = [_decoder(kind) for kind in kinds]

    def decode_union(data: Any, where: str) -> Any:
        refused = None
        for each in decoders:
            try:
                return each(data, where)
            except DecodeError as why:
                # What failed deepest has come nearest to what was meant.
                refused = why if refused is None or len(str(why)) > len(str(refused)) else refused
        raise refused or _wrong(where, "a value", data)

    return decode_union


def _array(kind: Any, make: Callable[[Any], Any]) -> _Decoder:
    element = _decoder(kind)

    def decode_array(data: Any, where: str) -> Any:
        if not isinstance(data, list):
            raise _wrong(where, "a list", data)
        return make([element(each, f"{where}[{index}]") for index, each in enumerate(data)])

    return decode_array


def _fixed_tuple(kinds: tuple[Any, ...]) -> _Decoder:
    elements = [_decoder(kind) for kind in kinds]

    def decode_tuple(data: Any, where: str) -> Any:
        if not isinstance(data, list) or len(data) != len(elements):
            raise _wrong(where, f"a list of {len(elements)}", data)
        pairs = enumerate(zip(elements, data, strict=True))
        return tuple(each(value, f"{where}[{index}]") for index, (each, value) in pairs)

    return decode_tuple


def _mapping(key_kind: Any, value_kind: Any) -> _Decoder:
    key, value = _decoder(key_kind), _decoder(value_kind)

    def decode_mapping(data: Any, where: str) -> Any:
        if not isinstance(data, dict):
            raise _wrong(where, "an object", data)
        try:
            names = [int(name) for name in data] if key_kind is int else list(data)
        except ValueError:
            raise _wrong(where, "numbers as keys", list(data)) from None
        return {
            key(name, f"{where}: key"): value(each, f"{where}[{name!r}]")
            for name, each in zip(names, data.values(), strict=True)
        }

    return decode_mapping


def _dataclass(kind: Any) -> _Decoder:
    hints = typing.get_type_hints(kind)
    required = {name for name, default in _fields(kind) if default is dataclasses.MISSING}
    elements = {name: _decoder(hints[name]) for name, _ in _fields(kind)}

    def decode_dataclass(data: Any, where: str) -> Any:
        if not isinstance(data, dict):
            raise _wrong(where, "an object", data)
        if not (required <= data.keys() <= elements.keys()):
            missing, unknown = sorted(required - data.keys()), sorted(data.keys() - elements.keys())
            raise DecodeError(f"{where}: missing {missing}, unknown {unknown}")
        return kind(**{name: elements[name](each, f"{where}.{name}") for name, each in data.items()})

    return decode_dataclass
