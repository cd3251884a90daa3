"""Messages as they come in: framing, headers, and bodies by way of dbus-next's reader.

Not responsible for sockets (connections.py), for what a message means (dispatch.py), or for messages that go out
(encode.py). Nothing here trusts a byte: whatever is wrong with one raises MalformedMessage, and nothing else.
Source: D-Bus specification, "Message Protocol".

Headers are read by hand: dbus-next takes four times as long for them, and an event is to be answered in fractions
of a millisecond.
"""

# dbus-next has no annotations.
# mypy: disallow-untyped-calls=False

from __future__ import annotations

import enum
import os
import struct
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from dbus_next._private.unmarshaller import Unmarshaller
from dbus_next.signature import SignatureTree

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MESSAGE_LIMIT = 128 << 20  # the specification's own
# The most descriptors that the kernel passes at once (SCM_MAX_FD), and so the most that a message can have.
DESCRIPTOR_LIMIT = 253

_ARRAY_LIMIT = 64 << 20
LITTLE, BIG = ord("l"), ord("B")
PROTOCOL_VERSION = 1
_FIXED = {LITTLE: struct.Struct("<BBBBIII"), BIG: struct.Struct(">BBBBIII")}
WORD = {LITTLE: struct.Struct("<I"), BIG: struct.Struct(">I")}
# SignatureTree keeps every signature that it has ever seen; foreign ones must not make that grow for ever.
_SIGNATURES_KEPT = 512


class MalformedMessage(Exception):
    """Bytes from a peer that are no message. `args[0]` says what is wrong with them."""


class Kind(enum.IntEnum):
    """Types of messages. Others may come, and are to be ignored."""

    METHOD_CALL = 1
    METHOD_RETURN = 2
    ERROR = 3
    SIGNAL = 4


NO_REPLY_EXPECTED = 1  # the one flag of messages that makes a difference here


class Field(enum.IntEnum):
    """Header fields."""

    PATH = 1
    INTERFACE = 2
    MEMBER = 3
    ERROR_NAME = 4
    REPLY_SERIAL = 5
    DESTINATION = 6
    SENDER = 7
    SIGNATURE = 8
    UNIX_FDS = 9


FIELD_TYPES = {
    Field.PATH: "o", Field.INTERFACE: "s", Field.MEMBER: "s", Field.ERROR_NAME: "s", Field.REPLY_SERIAL: "u",
    Field.DESTINATION: "s", Field.SENDER: "s", Field.SIGNATURE: "g", Field.UNIX_FDS: "u",
}  # fmt: skip
_FIELD_PREFIXES = {int(field): b"\x01" + kind.encode() + b"\0" for field, kind in FIELD_TYPES.items()}
_PATH_PREFIX = bytes([Field.PATH]) + _FIELD_PREFIXES[Field.PATH]
# What the fields after the path may be long, in bytes, to be kept: foreign ones must not take much.
_KEPT_FIELDS_LIMIT = 512
_REQUIRED = {
    Kind.METHOD_CALL: (Field.PATH, Field.MEMBER),
    Kind.METHOD_RETURN: (Field.REPLY_SERIAL,),
    Kind.ERROR: (Field.ERROR_NAME, Field.REPLY_SERIAL),
    Kind.SIGNAL: (Field.PATH, Field.INTERFACE, Field.MEMBER),
}


class Message(NamedTuple):
    """A message that was received. Its body is read only when somebody asks for it.

    `body` is the bytes of the body, in the byte order `order`; `files` are descriptors that came with it, open
    until `close_files`.
    """

    kind: int
    flags: int
    serial: int
    order: int
    fields: dict[int, Any]
    body: bytes
    files: tuple[int, ...] = ()

    @property
    def path(self) -> str | None:
        """The object that it is for or from."""
        return self.fields.get(Field.PATH)

    @property
    def interface(self) -> str | None:
        """The interface of its member, where it says one."""
        return self.fields.get(Field.INTERFACE)

    @property
    def member(self) -> str | None:
        """The method or signal."""
        return self.fields.get(Field.MEMBER)

    @property
    def error_name(self) -> str | None:
        """What kind of error this is."""
        return self.fields.get(Field.ERROR_NAME)

    @property
    def reply_serial(self) -> int | None:
        """The serial of the message that this one answers."""
        return self.fields.get(Field.REPLY_SERIAL)

    @property
    def destination(self) -> str | None:
        """The connection that it is for."""
        return self.fields.get(Field.DESTINATION)

    @property
    def sender(self) -> str | None:
        """The connection that it is from: the bus's word on a bus, anybody's on a private connection."""
        return self.fields.get(Field.SENDER)

    @property
    def signature(self) -> str:
        """The types of the body."""
        text: str = self.fields.get(Field.SIGNATURE, "")
        return text

    def values(self) -> list[Any]:
        """The body: one value for each complete type of the signature. Raises MalformedMessage."""
        if not self.body and not self.signature:
            return []
        reader = _Reader(self.body, self.order)
        try:
            values = [reader.read_argument(type_) for type_ in SignatureTree._get(self.signature).types]
        except MalformedMessage:
            raise
        except Exception as why:  # the codec meets foreign bytes here, and has no exception of its own for them
            raise MalformedMessage(f"its body is not {self.signature}: {type(why).__name__}") from why
        finally:
            if len(SignatureTree._cache) > _SIGNATURES_KEPT:
                SignatureTree._cache.clear()
        if reader.offset != len(self.body):
            raise MalformedMessage("its body goes on after its last value")
        return values

    def close_files(self) -> None:
        """Close the descriptors that came with the message. Call it once."""
        for file in self.files:
            os.close(file)


class _Reader(Unmarshaller):
    """dbus-next's reader on bytes that are all there, and strict where that one trusts them."""

    def __init__(self, data: bytes, order: int) -> None:
        super().__init__(None)
        self.buf = data  # type: ignore[assignment]  # bytes serve as well as a bytearray
        self.endian = order

    def read(self, n: int, prefetch: bool = False) -> int:
        start: int = self.offset
        if n > len(self.buf) - start:
            raise MalformedMessage("a value goes on after its end")
        if not prefetch:
            self.offset += n
        return start

    def read_string(self, _: object = None) -> str:
        text: str = super().read_string()
        if "\0" in text or self.buf[self.offset - 1]:
            raise MalformedMessage("a string has a NUL in it, or none after it")
        return text

    def read_boolean(self, _: object = None) -> bool:
        word = self.read_uint32()
        if word > 1:
            raise MalformedMessage("a boolean is neither true nor false")
        return bool(word)

    def read_array(self, type_: Any) -> Any:
        self.align(4)
        start = self.offset
        length = self.read_uint32()
        if length > _ARRAY_LIMIT:
            raise MalformedMessage("an array is longer than 64 MiB")
        if type_.children[0].token in "xtd{(":
            self.align(8)
        end = self.offset + length
        self.offset = start
        values = super().read_array(type_)
        if self.offset != end:
            raise MalformedMessage("the last element of an array goes on after its end")
        return values


def _read_fields(frame: bytes, at: int, end: int, order: int) -> dict[int, Any]:
    """The header fields, which are in `frame` from `at`, a multiple of 8, to `end`."""
    read_word = WORD[order].unpack_from
    fields: dict[int, Any] = {}
    while at < end:
        code = frame[at]
        prefix = _FIELD_PREFIXES.get(code)
        if prefix is None:  # to be ignored, says the specification
            reader = _Reader(frame, order)
            reader.offset = at + 1
            reader.read_variant()
            at = reader.offset
        elif frame[at + 1:at + 4] != prefix:
            raise MalformedMessage(f"its header field {code} has the wrong type")
        elif prefix == b"\x01u\0":
            fields[code] = read_word(frame, at + 4)[0]
            at += 8
        else:
            if prefix == b"\x01g\0":
                start = at + 5
                stop = start + frame[at + 4]
            else:
                start = at + 8
                stop = start + read_word(frame, at + 4)[0]
            text = frame[start:stop]
            if stop >= end or frame[stop] or b"\0" in text:
                raise MalformedMessage(f"its header field {code} is no string")
            fields[code] = text.decode()
            at = stop + 1
        if at > end:
            raise MalformedMessage("its last header field goes on after the header")
        at += -at & 7
    return fields


@lru_cache(maxsize=256)
def _fields_after_path(data: bytes, order: int) -> dict[int, Any]:
    """The header fields in `data`, which are not to be changed: they are kept."""
    return _read_fields(data, 0, len(data), order)


def _read_header(frame: bytes, end: int, order: int) -> dict[int, Any]:
    """The header fields, which are in `frame` from 16 to `end`.

    Whoever asks many objects the same says the same after the object's path, which comes first in what most libraries
    send.
    """
    if frame[16:20] == _PATH_PREFIX:
        rest = 24 + WORD[order].unpack_from(frame, 20)[0] + 1
        rest += -rest & 7
        if rest <= end <= rest + _KEPT_FIELDS_LIMIT:
            return _read_fields(frame, 16, rest, order) | _fields_after_path(frame[rest:end], order)
    return _read_fields(frame, 16, end, order)


class FrameReader:
    """Cuts what comes from one peer into messages.

    `limit` is the longest message that is taken, in bytes. Descriptors belong to the messages in the order in
    which they come; whoever takes a message closes its descriptors, `close()` those that no message had.
    """

    def __init__(self, limit: int = MESSAGE_LIMIT, descriptor_limit: int = DESCRIPTOR_LIMIT) -> None:
        self._limit = limit
        self._descriptor_limit = descriptor_limit
        self._buffer = bytearray()
        self._files: list[int] = []

    def feed(self, data: bytes, files: Sequence[int] = ()) -> Iterator[Message]:
        """Take bytes and descriptors that came together; give the messages that are complete by now.

        Raises MalformedMessage, at once or from the iterator; no more can be made of what comes after that.
        """
        self._files += files
        if len(self._files) > self._descriptor_limit:
            raise MalformedMessage("more descriptors came than a message may have")
        self._buffer += data
        return self._messages()

    def _messages(self) -> Iterator[Message]:
        while len(self._buffer) >= 16:
            order = self._buffer[0]
            if order not in _FIXED:
                raise MalformedMessage(f"its byte order is {order:#x}")
            fixed = _FIXED[order].unpack_from(self._buffer)
            _, _, _, _, body_length, _, fields_length = fixed
            length = 16 + fields_length + (-fields_length & 7) + body_length
            if length > self._limit:
                raise MalformedMessage(f"it has {length} bytes; {self._limit} are allowed")
            if len(self._buffer) < length:
                return
            frame = bytes(memoryview(self._buffer)[:length])
            del self._buffer[:length]
            yield self._message(frame, fixed)
        if self._files and not self._buffer:
            raise MalformedMessage("descriptors came that no message has")

    def _message(self, frame: bytes, fixed: tuple[int, ...]) -> Message:
        order, kind, flags, version, body_length, serial, fields_length = fixed
        if version != PROTOCOL_VERSION:
            raise MalformedMessage(f"its protocol version is {version}")
        if not kind or not serial:
            raise MalformedMessage("its type or its serial is 0")
        try:
            fields = _read_header(frame, 16 + fields_length, order)
        except MalformedMessage:
            raise
        except Exception as why:  # as in Message.values
            raise MalformedMessage(f"its header cannot be read: {type(why).__name__}") from why
        for field in _REQUIRED.get(kind, ()):  # type: ignore[call-overload]  # an unknown kind requires nothing
            if field not in fields:
                raise MalformedMessage(f"its header has no {field.name}")
        count = fields.get(Field.UNIX_FDS, 0)
        if count > len(self._files):
            raise MalformedMessage(f"it has {len(self._files)} descriptors in place of {count}")
        files = tuple(self._files[:count])
        del self._files[:count]
        return Message(kind, flags, serial, order, fields, frame[len(frame) - body_length:], files)

    def close(self) -> None:
        """Close the descriptors that no message has had."""
        for file in self._files:
            os.close(file)
        self._files.clear()
