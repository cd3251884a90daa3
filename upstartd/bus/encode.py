"""Messages as they go out: bytes, made once for all connections that get them.

Not responsible for sending them (connections.py) or for what comes in (wire.py). Source: D-Bus specification,
"Message Protocol". dbus-next says what a signature means. Its writer is not used: it looks at every value twice, and
takes five times as long, which is most of what an answer costs. The header fields of one object's signals, and those
of answers, are the same each time and are made once.
"""

# dbus-next has no annotations.
# mypy: disallow-untyped-calls=False

from __future__ import annotations

import itertools
import re
import struct
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from dbus_next.signature import SignatureTree, Variant

from upstartd.bus.wire import FIELD_TYPES, LITTLE, MESSAGE_LIMIT, PROTOCOL_VERSION, WORD, Field, Kind
from upstartd.errors import LimitsExceeded

if TYPE_CHECKING:
    from collections.abc import Callable

    from dbus_next.signature import SignatureType

_FIXED = struct.Struct("<BBBBII")
_WORD = WORD[LITTLE]
# What a string on the wire must not hold: a NUL, and what UTF-8 has no form for. A bus hangs up on them.
_UNSENDABLE = re.compile("[\0\ud800-\udfff]")
_ZEROS = [bytes(length) for length in range(8)]
_serials = itertools.count()


# -- values -------------------------------------------------------------------------------------------------------


def _write_number(number: struct.Struct, out: bytearray, _: SignatureType, value: float) -> None:
    out += _ZEROS[-len(out) % number.size] + number.pack(value)


def _write_text(out: bytearray, _: SignatureType, value: str) -> None:
    data = (value if value.isascii() and "\0" not in value else _UNSENDABLE.sub("\ufffd", value)).encode()
    out += _ZEROS[-len(out) & 3] + _WORD.pack(len(data)) + data + b"\0"


def _write_signature(out: bytearray, _: SignatureType, value: str) -> None:
    out += bytes([len(value)]) + value.encode() + b"\0"


def _write_array(out: bytearray, type_: SignatureType, value: Any) -> None:
    [element] = type_.children
    out += _ZEROS[-len(out) & 3] + bytes(4)
    length_at = len(out) - 4
    if element.token in "xtd({":
        out += _ZEROS[-len(out) & 7]
    start = len(out)
    write = _WRITERS[element.token]
    for one in value.items() if element.token == "{" else value:
        write(out, element, one)
    _WORD.pack_into(out, length_at, len(out) - start)


def _write_struct(out: bytearray, type_: SignatureType, value: Any) -> None:
    out += _ZEROS[-len(out) & 7]
    for member, one in zip(type_.children, value, strict=True):
        _WRITERS[member.token](out, member, one)


def _write_variant(out: bytearray, _: SignatureType, value: Variant) -> None:
    type_ = value.type
    assert type_ is not None, "a variant has a type"
    _write_signature(out, type_, value.signature)
    _WRITERS[type_.token](out, type_, value.value)


_NUMBERS = {"y": "B", "b": "I", "n": "h", "q": "H", "i": "i", "u": "I", "x": "q", "t": "Q", "d": "d", "h": "I"}
# How a value of the type that begins with this letter is put behind what there is of the message.
_WRITERS: dict[str, Callable[[bytearray, SignatureType, Any], None]] = {
    **{letter: partial(_write_number, struct.Struct("<" + code)) for letter, code in _NUMBERS.items()},
    "s": _write_text, "o": _write_text, "g": _write_signature,
    "a": _write_array, "(": _write_struct, "{": _write_struct, "v": _write_variant,
}  # fmt: skip


def _write(out: bytearray, signature: str, values: list[Any]) -> bytearray:
    """Put values of these types behind what there is, which begins where a message does or its body."""
    for type_, value in zip(SignatureTree._get(signature).types, values, strict=True):
        _WRITERS[type_.token](out, type_, value)
    return out


# -- messages -----------------------------------------------------------------------------------------------------


def next_serial() -> int:
    """A serial for a message. One row of them serves all connections, for signals go to several at once."""
    return next(_serials) % 0xFFFFFFFF + 1


@lru_cache(maxsize=2048)
def _header_fields(*fields: tuple[Field, str | int]) -> bytes:
    """What follows the serial in a message with these header fields, up to its body."""
    array = [(int(field), Variant(FIELD_TYPES[field], value)) for field, value in fields]
    out = _write(bytearray(12), "a(yv)", [array])
    return bytes(out[12:] + _ZEROS[-len(out) & 7])


def _assemble(kind: Kind, serial: int, fields: bytes, signature: str, values: list[Any]) -> bytes:
    body = _write(bytearray(), signature, values) if signature else b""
    length = 12 + len(fields) + len(body)
    if length > MESSAGE_LIMIT:
        raise LimitsExceeded(f"a message of {length} bytes cannot be sent: {MESSAGE_LIMIT} are the most")
    return _FIXED.pack(LITTLE, kind, 0, PROTOCOL_VERSION, len(body), serial) + fields + body


def _typed(signature: str) -> tuple[tuple[Field, str], ...]:
    return ((Field.SIGNATURE, signature),) if signature else ()


@lru_cache(maxsize=512)
def _reply_fields(destination: str | None, signature: str, *first: tuple[Field, str]) -> tuple[bytes, bytes]:
    """The header fields of an answer, as in `_header_fields`: what is before the serial that is answered and after."""
    addressed = ((Field.DESTINATION, destination),) if destination else ()
    fields = _header_fields((Field.REPLY_SERIAL, 0), *first, *addressed, *_typed(signature))
    return fields[:8], fields[12:]


def encode_signal(path: str, interface: str, member: str, signature: str, values: list[Any]) -> bytes:
    """A signal to everybody. `values` has one for each type of `signature`, as dbus-next takes them."""
    fields = _header_fields(
        (Field.PATH, path), (Field.INTERFACE, interface), (Field.MEMBER, member), *_typed(signature))
    return _assemble(Kind.SIGNAL, next_serial(), fields, signature, values)


def encode_return(reply_serial: int, destination: str | None, signature: str, values: list[Any]) -> bytes:
    """A method's answer. Raises LimitsExceeded where it is too long to be sent."""
    before, after = _reply_fields(destination, signature)
    return _assemble(Kind.METHOD_RETURN, next_serial(), before + _WORD.pack(reply_serial) + after, signature, values)


def encode_error(reply_serial: int, destination: str | None, error_name: str, text: str) -> bytes:
    """A method's refusal."""
    before, after = _reply_fields(destination, "s", (Field.ERROR_NAME, error_name))
    return _assemble(Kind.ERROR, next_serial(), before + _WORD.pack(reply_serial) + after, "s", [text])


def encode_call(serial: int, destination: str, path: str, interface: str, member: str, signature: str = "",
                values: list[Any] | None = None) -> bytes:
    """A method call that will be answered under `serial` (from `next_serial`)."""
    fields = _header_fields(
        (Field.PATH, path), (Field.INTERFACE, interface), (Field.MEMBER, member), (Field.DESTINATION, destination),
        *_typed(signature))
    return _assemble(Kind.METHOD_CALL, serial, fields, signature, values or [])
