"""Messages as they go out: bytes, made once for all connections that get them.

Not responsible for sending them (connections.py) or for what comes in (wire.py). Source: D-Bus specification,
"Message Protocol". dbus-next marshals; but the header fields of one object's signals, and those of answers, are
the same each time and are marshalled once, which saves three quarters of the time.
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
from dbus_next.signature import Variant

from upstartd.bus.wire import FIELD_TYPES, LITTLE, MESSAGE_LIMIT, PROTOCOL_VERSION, WORD, Field, Kind
from upstartd.errors import LimitsExceeded

_FIXED = struct.Struct("<BBBBII")
# What a string on the wire must not hold: a NUL, and what UTF-8 has no form for.
_UNSENDABLE = re.compile("[\0\ud800-\udfff]")
_serials = itertools.count()


class _Writer(Marshaller):
    """dbus-next's writer, with U+FFFD for what cannot be sent: a bus hangs up on a string with a NUL in it."""

    def write_string(self, value: str, _: object = None) -> int:
        written: int = super().write_string(_UNSENDABLE.sub("\ufffd", value))
        return written


def next_serial() -> int:
    """A serial for a message. One row of them serves all connections, for signals go to several at once."""
    return next(_serials) % 0xFFFFFFFF + 1


@lru_cache(maxsize=2048)
def _header_fields(*fields: tuple[Field, str | int]) -> bytes:
    """What follows the serial in a message with these header fields, up to its body."""
    array = [[int(field), Variant(FIELD_TYPES[field], value)] for field, value in fields]
    writer = _Writer("yyyyuua(yv)", [0, 0, 0, 0, 0, 0, array])
    writer.marshall()
    writer.align(8)
    return bytes(writer.buffer[12:])


def _assemble(kind: Kind, serial: int, fields: bytes, signature: str, values: list[Any]) -> bytes:
    body = bytes(_Writer(signature, values).marshall()) if signature else b""
    length = 12 + len(fields) + len(body)
    if length > MESSAGE_LIMIT:
        raise LimitsExceeded(f"a message of {length} bytes cannot be sent: {MESSAGE_LIMIT} are the most")
    return _FIXED.pack(LITTLE, kind, 0, PROTOCOL_VERSION, len(body), serial) + fields + body


def _addressed(destination: str | None) -> tuple[tuple[Field, str], ...]:
    return ((Field.DESTINATION, destination),) if destination else ()


def _typed(signature: str) -> tuple[tuple[Field, str], ...]:
    return ((Field.SIGNATURE, signature),) if signature else ()


def _in_reply(fields: bytes, reply_serial: int) -> bytes:
    """Header fields, of which the first is REPLY_SERIAL, with that serial put in: it is the third word."""
    return fields[:8] + WORD[LITTLE].pack(reply_serial) + fields[12:]


def encode_signal(path: str, interface: str, member: str, signature: str, values: list[Any]) -> bytes:
    """A signal to everybody. `values` has one for each type of `signature`, as dbus-next takes them."""
    fields = _header_fields(
        (Field.PATH, path), (Field.INTERFACE, interface), (Field.MEMBER, member), *_typed(signature))
    return _assemble(Kind.SIGNAL, next_serial(), fields, signature, values)


def encode_return(reply_serial: int, destination: str | None, signature: str, values: list[Any]) -> bytes:
    """A method's answer. Raises LimitsExceeded where it is too long to be sent."""
    fields = _header_fields((Field.REPLY_SERIAL, 0), *_addressed(destination), *_typed(signature))
    return _assemble(Kind.METHOD_RETURN, next_serial(), _in_reply(fields, reply_serial), signature, values)


def encode_error(reply_serial: int, destination: str | None, error_name: str, text: str) -> bytes:
    """A method's refusal."""
    fields = _header_fields(
        (Field.REPLY_SERIAL, 0), (Field.ERROR_NAME, error_name), *_addressed(destination), *_typed("s"))
    return _assemble(Kind.ERROR, next_serial(), _in_reply(fields, reply_serial), "s", [text])


def encode_call(serial: int, destination: str, path: str, interface: str, member: str, signature: str = "",
                values: list[Any] | None = None) -> bytes:
    """A method call that will be answered under `serial` (from `next_serial`)."""
    fields = _header_fields(
        (Field.PATH, path), (Field.INTERFACE, interface), (Field.MEMBER, member), (Field.DESTINATION, destination),
        *_typed(signature))
    return _assemble(Kind.METHOD_CALL, serial, fields, signature, values or [])
