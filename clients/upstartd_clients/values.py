"""D-Bus values: from bytes to values of Python and back, by their signatures.

A variant is a pair of its signature and its value, a structure a tuple, a dictionary a dict, an array of bytes `bytes`,
any other array a list. Any value can be read; only those are written that the daemon's methods take. Not responsible
for messages (messages.py). Source: D-Bus specification, Type System, Marshaling.

This is ours because of `initctl list`: to write thousands of calls, and to read as many answers that have next to
nothing in them, takes four times as much of a library that is made for anything.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import TYPE_CHECKING

from upstartd_clients.errors import ClientError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    # Reads the value at a place in a body, or where it is aligned after that.
    Reader = Callable[[bytes, int], tuple[Any, int]]

# What reading raises where the bytes or the signature make no sense.
UNREADABLE = (ValueError, IndexError, KeyError, TypeError, struct.error, RecursionError)

_NUMBERS = {"y": "B", "n": "h", "q": "H", "i": "i", "u": "I", "h": "I", "x": "q", "t": "Q", "d": "d"}
_ALIGNMENTS = {"y": 1, "g": 1, "v": 1, "n": 2, "q": 2, "x": 8, "t": 8, "d": 8, "(": 8, "{": 8}  # the others: 4
_CLOSED_BY = {"(": ")", "{": "}"}


# -- reading ------------------------------------------------------------------------------------------------------


def read_values(signature: str, data: bytes, order: str) -> tuple[Any, ...]:
    """The values in `data`, one for each complete type in `signature`; `order` is "<" or ">".

    Raises one of UNREADABLE where they are not that.
    """
    values, end = reader(f"({signature})", order)(data, 0) if signature else ((), 0)
    if end != len(data):
        raise ValueError("there is more than the signature says")
    return values


@lru_cache(maxsize=256)
def reader(signature: str, order: str) -> Reader:
    """What reads a value of the one complete type in `signature`, in the byte order "<" or ">".

    It gives the value, and where that ends. It, and this, raise one of UNREADABLE where there is no such value or type.
    """
    [type_] = split(signature)
    return _READERS[type_[0]](type_, order)


def split(signature: str) -> list[str]:
    """The complete types in a signature. Raises ValueError or IndexError if it is none."""
    types = []
    at = 0
    while at < len(signature):
        end = _end_of_type(signature, at)
        types.append(signature[at:end])
        at = end
    return types


def _end_of_type(signature: str, at: int) -> int:
    letter = signature[at]
    at += 1
    if letter == "a":
        return _end_of_type(signature, at)
    if letter in _CLOSED_BY:
        while signature[at] != _CLOSED_BY[letter]:
            at = _end_of_type(signature, at)
        return at + 1
    if letter not in _READERS:
        raise ValueError(f"{letter} is no type")
    return at


def _number_reader(type_: str, order: str) -> Reader:
    number = struct.Struct(order + _NUMBERS[type_])
    size, unpack = number.size, number.unpack_from

    def read(data: bytes, at: int) -> tuple[Any, int]:
        at += -at % size
        return unpack(data, at)[0], at + size

    return read


def _boolean_reader(_: str, order: str) -> Reader:
    read_number = reader("u", order)

    def read(data: bytes, at: int) -> tuple[bool, int]:
        number, at = read_number(data, at)
        return bool(number), at

    return read


def _text_reader(_: str, order: str) -> Reader:
    unpack_length = struct.Struct(order + "I").unpack_from

    def read(data: bytes, at: int) -> tuple[str, int]:
        at += -at & 3
        start = at + 4
        end = start + unpack_length(data, at)[0]
        if data[end]:
            raise ValueError("a text does not end where it says")
        return data[start:end].decode(), end + 1

    return read


def _signature_reader(_: str, __: str) -> Reader:
    def read(data: bytes, at: int) -> tuple[str, int]:
        end = at + 1 + data[at]
        if data[end]:
            raise ValueError("a signature does not end where it says")
        return data[at + 1:end].decode(), end + 1

    return read


def _variant_reader(_: str, order: str) -> Reader:
    read_signature = reader("g", order)

    def read(data: bytes, at: int) -> tuple[tuple[str, Any], int]:
        signature, at = read_signature(data, at)
        value, at = reader(signature, order)(data, at)
        return (signature, value), at

    return read


def _struct_reader(type_: str, order: str) -> Reader:
    readers = [reader(member, order) for member in split(type_[1:-1])]
    if not readers:
        raise ValueError("a structure has no members")

    def read(data: bytes, at: int) -> tuple[tuple[Any, ...], int]:
        at += -at & 7
        values = []
        for read_member in readers:
            value, at = read_member(data, at)
            values.append(value)
        return tuple(values), at

    return read


def _array_reader(type_: str, order: str) -> Reader:
    element = type_[1:]
    is_dict = element[0] == "{"
    read_element = reader(f"({element[1:-1]})" if is_dict else element, order)
    alignment = _ALIGNMENTS.get(element[0], 4)
    unpack_length = struct.Struct(order + "I").unpack_from

    def read(data: bytes, at: int) -> tuple[Any, int]:
        at += -at & 3
        length = unpack_length(data, at)[0]
        at += 4
        at += -at % alignment
        end = at + length
        if end > len(data):
            raise ValueError("an array goes on after the end")
        if element == "y":
            return data[at:end], end
        values = []
        while at < end:
            value, at = read_element(data, at)
            values.append(value)
        if at != end:
            raise ValueError("an array does not end where its last element does")
        return dict(values) if is_dict else values, at

    return read


# What makes a reader of a type that begins with this letter, and of a byte order. An entry of a dictionary is none.
_READERS: dict[str, Callable[[str, str], Reader]] = {
    **dict.fromkeys(_NUMBERS, _number_reader), "b": _boolean_reader, "s": _text_reader, "o": _text_reader,
    "g": _signature_reader, "v": _variant_reader, "(": _struct_reader, "a": _array_reader,
}


# -- writing ------------------------------------------------------------------------------------------------------


def write_values(signature: str, values: tuple[Any, ...]) -> bytes:
    """These values, one for each complete type in `signature`, which are texts, booleans, and arrays and variants of
    such. ClientError at a text that D-Bus cannot carry."""
    out = bytearray()
    for type_, value in zip(split(signature), values, strict=True):
        _WRITERS[type_[0]](out, type_, value)
    return bytes(out)


def text_bytes(text: str) -> bytes:
    """A text as it is written where it is aligned. ClientError if D-Bus cannot carry it."""
    if not isinstance(text, str):
        raise TypeError(f"{text!r} is no text")
    try:
        data = text.encode()
    except UnicodeEncodeError:
        data = b"\0"
    if b"\0" in data:  # Whoever sends it anyway loses the connection.
        raise ClientError(f"cannot send {text!r}: D-Bus cannot carry it")
    return _LENGTH.pack(len(data)) + data + b"\0"


def _write_text(out: bytearray, _: str, value: str) -> None:
    out += bytes(-len(out) & 3) + text_bytes(value)


def _write_boolean(out: bytearray, _: str, value: bool) -> None:
    out += bytes(-len(out) & 3) + _LENGTH.pack(bool(value))


def _write_array(out: bytearray, type_: str, value: Sequence[Any]) -> None:
    if not isinstance(value, list | tuple):
        raise TypeError(f"{value!r} is no list")
    element = type_[1:]
    out += bytes((-len(out) & 3) + 4)
    start = len(out)
    for one in value:
        _WRITERS[element[0]](out, element, one)
    _LENGTH.pack_into(out, start - 4, len(out) - start)


def _write_variant(out: bytearray, _: str, value: tuple[str, Any]) -> None:
    signature, inner = value
    out += bytes([len(signature)]) + signature.encode() + b"\0"
    _WRITERS[signature[0]](out, signature, inner)


_LENGTH = struct.Struct("<I")
_WRITERS: dict[str, Callable[[bytearray, str, Any], None]] = {
    "s": _write_text, "b": _write_boolean, "a": _write_array, "v": _write_variant,
}
