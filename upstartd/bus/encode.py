"""Messages as they go out: bytes, made once for all connections that get them.

Not responsible for sending them (connections.py) or for what comes in (wire.py). Source: D-Bus specification,
"Message Protocol". dbus-next marshals; but the header fields of one object's signals, and those of answers, are the
same each time and are made once.
"""

# dbus-next has no annotations.
# mypy: disallow-untyped-calls=False

from __future__ import annotations

import itertools
import re
import struct
from functools import lru_cache
from typing import Any

from dbus_next._private.marshaller import Marshaller
from dbus_next.signature import SignatureTree, Variant

from upstartd.bus.wire import FIELD_TYPES, LITTLE, MESSAGE_LIMIT, PROTOCOL_VERSION, WORD, Field, Kind
from upstartd.errors import LimitsExceeded

_FIXED = struct.Struct("<BBBBII")
_WORD = WORD[LITTLE]
# What a string on the wire must not hold: a NUL, and what UTF-8 has no form for. A bus hangs up on them.
_UNSENDABLE = re.compile("[\0\ud800-\udfff]")
_serials = itertools.count()


class _Writer(Marshaller):
    """dbus-next's writer, for one message after the other: to make one takes longer than to write most messages.

    Values are taken to be of their types, for it is we who made them. What cannot be sent becomes U+FFFD: a bus hangs
    up on a string with a NUL in it.
    """

    def __init__(self) -> None:
        super().__init__("", [])

    def write(self, signature: str, values: list[Any], buffer: bytearray) -> bytearray:
        """Put values of these types behind what there is, which begins where a message does or its body."""
        self.buffer = buffer
        for type_, value in zip(SignatureTree._get(signature).types, values, strict=True):
            self.write_single(type_, value)
        return buffer

    def write_string(self, value: str, _: object = None) -> int:
        data = (value if value.isascii() and "\0" not in value else _UNSENDABLE.sub("\ufffd", value)).encode()
        written: int = self.align(4)
        self.buffer += _WORD.pack(len(data)) + data + b"\0"
        return written + len(data) + 5


_writer = _Writer()


def next_serial() -> int:
    """A serial for a message. One row of them serves all connections, for signals go to several at once."""
    return next(_serials) % 0xFFFFFFFF + 1


@lru_cache(maxsize=2048)
def _header_fields(*fields: tuple[Field, str | int]) -> bytes:
    """What follows the serial in a message with these header fields, up to its body."""
    array = [(int(field), Variant(FIELD_TYPES[field], value)) for field, value in fields]
    _writer.write("a(yv)", [array], bytearray(12))
    _writer.align(8)
    return bytes(_writer.buffer[12:])


def _assemble(kind: Kind, serial: int, fields: bytes, signature: str, values: list[Any]) -> bytes:
    body = _writer.write(signature, values, bytearray()) if signature else b""
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
