"""D-Bus messages as clients need them: calls become bytes; bytes become answers and signals.

jeepney is the codec. There is no socket here and no waiting, so that a client that blocks (connection.py) and one in an
event loop (aio_connection.py) speak alike. Source: D-Bus specification, Message Protocol.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, NamedTuple

# jeepney has no type information; what comes out of it is checked against the signatures in Call. These modules
# and no others, because `jeepney.io` has integrations with event loops beside the blocking one.
from jeepney.low_level import HeaderFields, MessageFlag, MessageType, Parser  # type: ignore[import-untyped]
from jeepney.wrappers import DBusAddress, new_method_call  # type: ignore[import-untyped]

from upstartd_clients.errors import BadAnswer, ClientError, DaemonError, daemon_error

if TYPE_CHECKING:
    from collections.abc import Iterator

BUS = "org.freedesktop.DBus"
BUS_PATH = "/org/freedesktop/DBus"
# Everything that jeepney raises for bytes that are no D-Bus message.
_NO_MESSAGE = (ValueError, KeyError, IndexError, TypeError, AssertionError, struct.error)


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
    """What came for the call with this serial."""

    serial: int
    message: Any


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
        self._parser = Parser()
        self._serial = 0

    def encode(self, call: Call) -> tuple[int, bytes]:
        """The serial of a call, and its bytes. BadAnswer if its path is none: it is what somebody has answered."""
        self._serial += 1
        try:
            address = DBusAddress(call.path, bus_name=call.destination or self.destination, interface=call.interface)
        except ValueError as error:
            raise BadAnswer(f'cannot understand Upstart: "{call.path}" is not the path of an object') from error
        _check_texts(call.arguments)
        message = new_method_call(address, call.member, call.takes or None, call.arguments)
        # A daemon that is not there must be an error, not be started by the bus: asking must not change anything.
        message.header.flags = MessageFlag.no_auto_start
        return self._serial, message.serialise(self._serial)

    def decode(self, data: bytes) -> Iterator[Answer | RawSignal]:
        """The answers and signals that are complete with these bytes; BadAnswer if they are no D-Bus messages."""
        try:
            self._parser.add_data(data)
            while (message := self._parser.get_next_message()) is not None:
                fields = message.header.fields
                if message.header.message_type is MessageType.signal:
                    yield RawSignal(fields.get(HeaderFields.sender, ""), fields[HeaderFields.path],
                                    fields[HeaderFields.interface], fields[HeaderFields.member],
                                    fields.get(HeaderFields.signature, ""), tuple(message.body))
                elif HeaderFields.reply_serial in fields:
                    yield Answer(fields[HeaderFields.reply_serial], message)
        except _NO_MESSAGE as error:
            raise BadAnswer("cannot understand Upstart: what came is no D-Bus message") from error


def outcome(answer: Answer, call: Call) -> tuple[Any, ...] | DaemonError:
    """What a call returned, or the error that it was answered with; BadAnswer if it is not of the types in `gives`."""
    fields = answer.message.header.fields
    if answer.message.header.message_type is MessageType.error:
        body = answer.message.body
        text = body[0] if body and isinstance(body[0], str) else ""
        # The reference ends some of its messages with a newline.
        name = str(fields.get(HeaderFields.error_name))
        return daemon_error(name, text.rstrip("\n") or name)
    signature = fields.get(HeaderFields.signature, "")
    if signature != call.gives:
        raise BadAnswer(f'cannot understand Upstart: {call.member} gave "{signature}", not "{call.gives}"')
    return tuple(answer.message.body)


def _check_texts(values: Any) -> None:
    """ClientError at a text that D-Bus cannot carry: whoever sends one anyway loses the connection."""
    if isinstance(values, str):
        if "\0" in values or not _is_utf8(values):
            raise ClientError(f"cannot send {values!r}: D-Bus cannot carry it")
    elif isinstance(values, list | tuple):
        for value in values:
            _check_texts(value)


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
