"""D-Bus messages as clients need them: calls become bytes; bytes become answers and signals.

There is no socket here and no waiting, so that a client that blocks (connection.py) and one in an event loop
(aio_connection.py) speak alike. Not responsible for the values in messages (values.py). Source: D-Bus specification,
Message Protocol.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from upstartd_clients.errors import BadAnswer, DaemonError, daemon_error
from upstartd_clients.values import UNREADABLE, read_values, reader, text_bytes, write_values

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

BUS = "org.freedesktop.DBus"
BUS_PATH = "/org/freedesktop/DBus"

# Kinds of messages.
_CALL, _ERROR, _SIGNAL = 1, 3, 4
# A daemon that is not there must be an error, not be started by the bus: asking must not change anything.
_NO_AUTO_START = 2
# Header fields, with their types.
_PATH, _INTERFACE, _MEMBER, _ERROR_NAME, _REPLY_SERIAL, _DESTINATION, _SENDER, _SIGNATURE = range(1, 9)
_FIELD_TYPES = {_PATH: "o", _INTERFACE: "s", _MEMBER: "s", _ERROR_NAME: "s", _REPLY_SERIAL: "u", _DESTINATION: "s",
                _SENDER: "s", _SIGNATURE: "g"}
_BEGINS_WITH_SERIAL = b"\x05\x01u\x00"
# What each message begins with, by its first byte: that, kind, flags, version, then the lengths of the body and, after
# the serial, of the header fields.
_ORDERS = {ord("l"): "<", ord("B"): ">"}
_FIXED = {first: struct.Struct(order + "BBBBIII") for first, order in _ORDERS.items()}
_WORD = {first: struct.Struct(order + "I") for first, order in _ORDERS.items()}
_LITTLE = ord("l")
_MESSAGE_LIMIT = 128 << 20  # the specification's own


class Call(NamedTuple):
    """One method call. `takes` and `gives` are the D-Bus signatures of its arguments and its answer; `destination`
    is another than the connection's, as for calls to the bus itself."""

    path: str
    interface: str
    member: str
    takes: str = ""
    arguments: tuple[Any, ...] = ()
    gives: str = ""
    destination: str = ""


class Answer(NamedTuple):
    """What came for the call with this serial. `error` is its name if it is one, `order` that of bytes in its body."""

    serial: int
    error: str | None
    signature: str
    body: bytes
    order: str


class RawSignal(NamedTuple):
    """A signal as it came. `sender` is empty where there is no bus."""

    sender: str
    path: str
    interface: str
    member: str
    signature: str
    values: tuple[Any, ...]


class Conversation:
    """The messages of one connection: serials for what goes out, and the bytes so far of what comes in.

    `destination` is whom calls are for.
    """

    def __init__(self, destination: str) -> None:
        self.destination = destination
        self._serial = 0
        self._came: list[bytes] = []  # what has not been taken apart yet
        self._length = 0  # of that
        self._needed = 16  # how much there must be before the next message can be complete

    def encode(self, call: Call) -> tuple[int, bytes]:
        """The serial of a call, and its bytes.

        BadAnswer if its path is none: it is what somebody has answered. ClientError at a text that cannot be sent.
        """
        self._serial += 1
        path, interface, member, takes, arguments, _, destination = call
        if not is_object_path(path):
            raise BadAnswer(f'cannot understand Upstart: "{path}" is not the path of an object')
        body = write_values(takes, arguments) if takes or arguments else b""
        # The path comes first, as what follows is the same for many calls, and is kept on both sides.
        fields = _text_field(_PATH, path)
        fields += bytes(-len(fields) & 7)
        fields += _fields_after_path(interface, member, takes, destination or self.destination)
        fixed = _FIXED[_LITTLE].pack(_LITTLE, _CALL, _NO_AUTO_START, 1, len(body), self._serial, len(fields))
        return self._serial, fixed + fields + bytes(-len(fields) & 7) + body

    def decode(self, data: bytes) -> Iterator[Answer | RawSignal]:
        """The answers and signals that are complete with these bytes; BadAnswer if they are no D-Bus messages."""
        self._came.append(data)
        self._length += len(data)
        if self._length < self._needed:
            return
        came, at, length = b"".join(self._came), 0, 16
        try:
            while len(came) - at >= 16:
                first = came[at]
                _, kind, _, _, body_length, _, fields_length = _FIXED[first].unpack_from(came, at)
                length = 16 + fields_length + (-fields_length & 7) + body_length
                if length > _MESSAGE_LIMIT:
                    raise ValueError("a message is longer than any may be")
                if length > len(came) - at:
                    break
                body_at = at + length - body_length
                message = _message(kind, first, came[at + 16:at + 16 + fields_length], came[body_at:at + length])
                at += length
                length = 16
                if message is not None:
                    yield message
        except UNREADABLE as error:
            length = 16  # No more can be made of what is to come.
            raise _no_message() from error
        finally:
            self._came, self._length, self._needed = [came[at:]], len(came) - at, length


def _message(kind: int, first: int, data: bytes, body: bytes) -> Answer | RawSignal | None:
    """What a message with these header fields is to a client; None if it is nothing. Raises one of UNREADABLE."""
    order, serial = _ORDERS[first], None
    if data[:4] == _BEGINS_WITH_SERIAL:  # What follows is then the same for many answers.
        serial = _WORD[first].unpack_from(data, 4)[0]
        data = data[8:]
    fields = _read_fields(data, order)
    signature = fields.get(_SIGNATURE, "")
    if kind == _SIGNAL:
        return RawSignal(fields.get(_SENDER, ""), fields[_PATH], fields[_INTERFACE], fields[_MEMBER], signature,
                         read_values(signature, body, order))
    serial = fields.get(_REPLY_SERIAL, serial)
    if serial is None:
        return None
    return Answer(serial, fields[_ERROR_NAME] if kind == _ERROR else None, signature, body, order)


def outcome(answer: Answer, call: Call) -> tuple[Any, ...] | DaemonError:
    """What a call returned, or the error that it was answered with; BadAnswer if it is not of the types in `gives`."""
    _, error, signature, body, order = answer
    if error is None and signature != call.gives:
        raise BadAnswer(f'cannot understand Upstart: {call.member} gave "{signature}", not "{call.gives}"')
    try:
        values = read_values(signature, body, order)
    except UNREADABLE as why:
        raise _no_message() from why
    if error is None:
        return values
    text = values[0] if values and isinstance(values[0], str) else ""
    # The reference ends some of its messages with a newline.
    return daemon_error(error, text.rstrip("\n") or error)


def is_object_path(text: str) -> bool:
    """Whether a text is the path of an object."""
    characters = text.replace("/", "").replace("_", "")
    return (text == "/" or (text.startswith("/") and not text.endswith("/") and "//" not in text)) and (
        not characters or (characters.isascii() and characters.isalnum()))


def is_bus_name(text: str) -> bool:
    """Whether a text may be the name of somebody on a bus."""
    unique = text.startswith(":")
    elements = text.removeprefix(":").split(".")
    return len(elements) > 1 and len(text) <= 255 and all(
        element.isascii() and element.replace("_", "a").replace("-", "a").isalnum()
        and (unique or not element[0].isdigit()) for element in elements)


@lru_cache(maxsize=64)
def _read_fields(data: bytes, order: str) -> dict[int, Any]:
    """The header fields in these bytes, which begin where anything is aligned. Raises one of UNREADABLE."""
    read_field = reader("(yv)", order)
    fields, at = {}, 0
    while at < len(data):
        (code, (signature, value)), at = read_field(data, at)
        if signature != _FIELD_TYPES.get(code, signature):
            raise ValueError(f"header field {code} is of type {signature}")
        fields[code] = value
    return fields


def _text_field(code: int, text: str) -> bytes:
    return bytes([code, 1, ord(_FIELD_TYPES[code]), 0]) + text_bytes(text)


@lru_cache(maxsize=64)
def _fields_after_path(interface: str, member: str, takes: str, destination: str) -> bytes:
    fields = b""
    for code, text in ((_INTERFACE, interface), (_MEMBER, member), (_DESTINATION, destination)):
        fields += bytes(-len(fields) & 7) + _text_field(code, text)
    if takes:
        fields += bytes(-len(fields) & 7) + bytes([_SIGNATURE, 1, ord("g"), 0, len(takes)]) + takes.encode() + b"\0"
    return fields


def _no_message() -> BadAnswer:
    return BadAnswer("cannot understand Upstart: what came is no D-Bus message")
