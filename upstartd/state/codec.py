"""Frozen values to JSON and back, by their annotations.

What comes back is checked in every part: a value of the wrong shape is refused with the path to it, and never
becomes half of something. Handles the types that the state is made of, and no others: str, int, float, bool,
None, object (any JSON), enumerations, tuples, frozensets, mappings, unions and dataclasses.
"""

from __future__ import annotations

import dataclasses
import enum
import types
import typing
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple, NoReturn, TypeAlias, TypeVar

from upstartd.engine.states import Goal, State

_Value = TypeVar("_Value")

# What stands before the names of these members, as readers of the state expect (runtime specification, 10).
_PREFIXES: dict[type, str] = {Goal: "JOB_", State: "JOB_"}
_NAMES = {str: "a text", int: "a whole number", float: "a number", bool: "true or false", type(None): "null"}
# What JSON becomes when it is read.
_JSON = (*_NAMES, list, dict)


class DecodeError(ValueError):
    """JSON that is not what it should be; the message says where and why."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.where = ""

    def inside(self, where: str) -> DecodeError:
        """The same error, seen from what it is in. The path is made on the way out: what is right costs none."""
        self.where = where + self.where
        return self

    def __str__(self) -> str:
        return f"{self.where}: {self.problem}"


# -- to JSON --------------------------------------------------------------------------------------------------


def encode(value: object) -> Any:
    """`value` as what json.dumps() takes. A field of a dataclass that has its default is left out."""
    kind: Any = type(value)
    return value if kind in _NAMES else _encoder(kind)(value)


@cache
def _encoder(kind: type) -> Callable[[Any], Any]:
    """What encodes values of this very type."""
    if issubclass(kind, enum.Enum):
        # A word means the same in every version, the number of a member without one does not.
        words = {each: each.value if issubclass(kind, str) else _PREFIXES.get(kind, "") + each.name for each in kind}
        return words.__getitem__
    if issubclass(kind, (tuple, list)):
        return lambda value: [encode(each) for each in value]
    if issubclass(kind, frozenset):
        return lambda value: sorted(encode(each) for each in value)
    if issubclass(kind, Mapping):
        return lambda value: {_key(key): encode(each) for key, each in value.items()}
    if not dataclasses.is_dataclass(kind):
        raise TypeError(f"cannot encode {kind.__name__}")
    fields = _fields(kind)
    return lambda value: {name: encode(each) for name, default in fields
                          if (each := getattr(value, name)) is not default and each != default}


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


# What makes a value of JSON of one type, or raises a DecodeError; None where it is the value already.
_Make: TypeAlias = Callable[[Any], Any] | None


class _Decoder(NamedTuple):
    """How values of a type come back: which JSON is wanted, in words, and what is made of each type that will do."""

    wanted: str
    takes: dict[type, _Make]


def decode(kind: type[_Value], data: object, where: str = "state") -> _Value:
    """The value of type `kind` that encode() made `data` from, as json.loads() gave it back. Raises DecodeError."""
    make = _table(kind)[type(data)]  # type: ignore[arg-type]  # a type variable counts as unhashable
    try:
        return typing.cast("_Value", data if make is None else make(data))
    except DecodeError as why:
        raise why.inside(where) from None


def _refuse(wanted: str, data: object) -> NoReturn:
    raise DecodeError(f"expected {wanted}, found {str(data)[:40]!r}")


@cache
def _table(kind: Any) -> dict[type, _Make]:
    """What makes a value of this type, for JSON of any type: what will not do is refused."""
    wanted, takes = _decoder(kind)
    return dict.fromkeys(_JSON, lambda data: _refuse(wanted, data)) | takes


def _decoder(kind: Any) -> _Decoder:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is object:
        return _Decoder("anything", dict.fromkeys(_JSON))
    if origin in (typing.Union, types.UnionType):
        return _union(arguments)
    if origin is tuple:
        return _array(arguments[0], tuple) if arguments[1:] == (...,) else _fixed_tuple(arguments)
    if origin is frozenset:
        return _array(arguments[0], frozenset)
    if origin is Mapping:
        return _mapping(*arguments)
    if kind in _NAMES:
        # An int will do for a float. (A bool is an int to Python, but not here.)
        return _Decoder(_NAMES[kind], {kind: None} | ({int: float} if kind is float else {}))
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return _enumeration(kind)
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind)
    raise TypeError(f"cannot decode {kind}")


def _enumeration(kind: type[enum.Enum]) -> _Decoder:
    known = {encode(member): member for member in kind}
    wanted = f"a {kind.__name__}"

    def decode_enumeration(data: str) -> enum.Enum:
        return known[data] if data in known else _refuse(wanted, data)

    return _Decoder(wanted, {str: decode_enumeration})


def _union(kinds: tuple[Any, ...]) -> _Decoder:
    decoders = [_decoder(kind) for kind in kinds]
    candidates = {each: [takes[each] for _, takes in decoders if each in takes] for each in _JSON}
    return _Decoder(" or ".join(each.wanted for each in decoders), {
        each: makes[0] if len(makes) == 1 else _first_of(makes) for each, makes in candidates.items() if makes})


def _first_of(makes: list[_Make]) -> _Make:
    """What makes a value in the first way that works."""

    def decode_union(data: Any) -> Any:
        refused: list[DecodeError] = []
        for make in makes:
            try:
                return data if make is None else make(data)
            except DecodeError as why:
                refused.append(why)
        # What failed deepest has come nearest to what was meant.
        raise max(refused, key=lambda why: len(why.where))

    return decode_union


def _array(kind: Any, collect: Callable[[list[Any]], Any]) -> _Decoder:
    table = _table(kind)

    def decode_array(data: list[Any]) -> Any:
        found: list[Any] = []
        try:
            for each in data:
                make = table[type(each)]
                found.append(each if make is None else make(each))
        except DecodeError as why:
            raise why.inside(f"[{len(found)}]") from None
        return collect(found)

    return _Decoder("a list", {list: decode_array})


def _fixed_tuple(kinds: tuple[Any, ...]) -> _Decoder:
    tables = [_table(kind) for kind in kinds]
    wanted = f"a list of {len(kinds)}"

    def decode_tuple(data: list[Any]) -> tuple[Any, ...]:
        if len(data) != len(tables):
            _refuse(wanted, data)
        found: list[Any] = []
        try:
            for table, each in zip(tables, data, strict=True):
                make = table[type(each)]
                found.append(each if make is None else make(each))
        except DecodeError as why:
            raise why.inside(f"[{len(found)}]") from None
        return tuple(found)

    return _Decoder(wanted, {list: decode_tuple})


def _mapping(key_kind: Any, value_kind: Any) -> _Decoder:
    make_key = _number if key_kind is int else _table(key_kind)[str]
    table = _table(value_kind)

    def decode_mapping(data: dict[str, Any]) -> dict[Any, Any]:
        found = {}
        where = ""
        try:
            for name, each in data.items():
                where = ": key"
                key = name if make_key is None else make_key(name)
                where = f"[{name!r}]"
                make = table[type(each)]
                found[key] = each if make is None else make(each)
        except DecodeError as why:
            raise why.inside(where) from None
        return found

    return _Decoder("an object", {dict: decode_mapping})


def _number(name: str) -> int:
    """A key that is a number: JSON has it as a text."""
    try:
        return int(name)
    except ValueError:
        _refuse("a number", name)


def _dataclass(kind: Any) -> _Decoder:
    hints = typing.get_type_hints(kind)
    required = {name for name, default in _fields(kind) if default is dataclasses.MISSING}
    tables = {name: _table(hints[name]) for name, _ in _fields(kind)}
    known = frozenset(tables)

    def decode_dataclass(data: dict[str, Any]) -> Any:
        if not (known.issuperset(data) and required <= data.keys()):
            raise DecodeError(f"missing {sorted(required - data.keys())}, unknown {sorted(data.keys() - known)}")
        values = {}
        name = ""
        try:
            for name, each in data.items():
                make = tables[name][type(each)]
                values[name] = each if make is None else make(each)
        except DecodeError as why:
            raise why.inside(f".{name}") from None
        return kind(**values)

    return _Decoder("an object", {dict: decode_dataclass})
