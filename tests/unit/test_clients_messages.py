"""Messages of clients as they come in and go out, with jeepney as the other side."""

from __future__ import annotations

from typing import Any

import pytest
from jeepney import DBusAddress, Endianness, HeaderFields, MessageFlag, MessageType, Parser, new_method_call
from jeepney.low_level import Header, Message
from jeepney.wrappers import check_bus_name

from upstartd_clients import messages
from upstartd_clients.errors import BadAnswer, ClientError, DaemonError, Gone
from upstartd_clients.messages import Answer, Call, Conversation, RawSignal, is_bus_name, is_object_path, outcome

GET = Call("/a/b_2dc", "a.b.C", "Get", "ss", ("x", "name"), "v")
PLAIN = Call("/", "a.b.C", "Plain")


def message(kind: MessageType, fields: dict[HeaderFields, Any], body: tuple[Any, ...] = (),
            endianness: Endianness = Endianness.little) -> bytes:
    data: bytes = Message(Header(endianness, kind, 0, 1, -1, -1, fields), body).serialise(serial=9)
    return data


def answer(serial: int, signature: str = "", body: tuple[Any, ...] = (), **options: Any) -> bytes:
    fields: dict[HeaderFields, Any] = {HeaderFields.reply_serial: serial}
    if signature:
        fields[HeaderFields.signature] = signature
    return message(MessageType.method_return, fields, body, **options)


def fault(serial: int, name: str, signature: str = "", body: tuple[Any, ...] = ()) -> bytes:
    fields: dict[HeaderFields, Any] = {HeaderFields.reply_serial: serial, HeaderFields.error_name: name}
    return message(MessageType.error, fields | ({HeaderFields.signature: signature} if signature else {}), body)


def signal(signature: str = "", body: tuple[Any, ...] = (), **more: str) -> bytes:
    fields = {HeaderFields.path: "/o", HeaderFields.interface: "a.b", HeaderFields.member: "Done"}
    fields |= {HeaderFields[name]: value for name, value in more.items()}
    return message(MessageType.signal, fields | ({HeaderFields.signature: signature} if signature else {}), body)


def decoded(data: bytes) -> list[Answer | RawSignal]:
    return list(Conversation("a.b").decode(data))


def values_in(data: bytes, gives: str) -> Any:
    [found] = decoded(data)
    assert isinstance(found, Answer)
    return outcome(found, PLAIN._replace(gives=gives))


# -- going out --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/a", "/a/b", "/ab/c_2dd", "/abcdefg", "/abcdefgh"])
@pytest.mark.parametrize("call", [GET, PLAIN, PLAIN._replace(destination="org.example.Other")])
def test_a_call_is_read_by_jeepney(call: Call, path: str) -> None:
    conversation = Conversation("com.example.Daemon")
    for expected in (1, 2):
        serial, data = conversation.encode(call._replace(path=path))
        [came] = Parser().feed(data)
        header = came.header
        assert serial == header.serial == expected
        assert header.message_type is MessageType.method_call
        assert header.flags is MessageFlag.no_auto_start  # asking must not start a daemon
        assert header.fields == {
            HeaderFields.path: path, HeaderFields.interface: call.interface, HeaderFields.member: call.member,
            HeaderFields.destination: call.destination or "com.example.Daemon",
        } | ({HeaderFields.signature: call.takes} if call.takes else {})
        assert came.body == call.arguments


@pytest.mark.parametrize("path", ["", "a", "a/b", "/a/", "//", "/a//b", "/a-b", "/é", "/a\0", "/٣"])
def test_what_is_no_path_of_an_object_is_not_sent(path: str) -> None:
    with pytest.raises(BadAnswer, match="is not the path of an object"):
        Conversation("a.b").encode(PLAIN._replace(path=path))
    assert not is_object_path(path)


def test_a_text_that_cannot_be_sent_leaves_the_conversation_as_it_is() -> None:
    conversation = Conversation("a.b")
    with pytest.raises(ClientError, match="D-Bus cannot carry it"):
        conversation.encode(GET._replace(arguments=("a\0", "b")))
    [came] = Parser().feed(conversation.encode(GET)[1])
    assert came.body == GET.arguments


@pytest.mark.parametrize("name", [
    "a.b", "com.ubuntu.Upstart", ":1.7", "_a-b.c0", "", "a", ".a", "a.", "a..b", "a.0b", "0a.b", "a b.c", "é.a", ":",
    ":1", "a." + "b" * 253, "a." + "b" * 254, "a.b\n", "a.٣",
])
def test_the_name_of_somebody_on_a_bus_is_what_jeepney_takes_for_one(name: str) -> None:
    try:
        check_bus_name(name)
    except ValueError:
        assert not is_bus_name(name)
    else:
        assert is_bus_name(name) == (not name.endswith("\n"))  # which jeepney overlooks


# -- coming in --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("endianness", Endianness)
def test_an_answer_is_read_in_either_byte_order(endianness: Endianness) -> None:
    for serial in (1, 0x01020304):
        data = answer(serial, "ao", (["/a", "/b/c"],), endianness=endianness)
        [found] = decoded(data)
        assert isinstance(found, Answer)
        assert (found.serial, found.error, found.signature) == (serial, None, "ao")
        assert values_in(data, "ao") == (["/a", "/b/c"],)


def test_messages_may_come_byte_by_byte_and_several_at_once() -> None:
    data = [answer(1, "s", ("x",)), signal("sas", ("y", ["z"]), sender=":1.1"), fault(2, "a.b.Error"), answer(3)]
    whole = decoded(b"".join(data))
    conversation = Conversation("a.b")
    assert [found for byte in b"".join(data) for found in conversation.decode(bytes([byte]))] == whole
    assert [decoded(one) for one in data] == [[one] for one in whole]
    assert whole[1] == RawSignal(":1.1", "/o", "a.b", "Done", "sas", ("y", ["z"]))


def test_what_comes_after_the_message_that_ends_a_wait_is_kept() -> None:
    conversation = Conversation("a.b")
    first = next(conversation.decode(answer(1) + answer(2) + answer(3)[:20]))
    assert isinstance(first, Answer)
    assert first.serial == 1
    rest = [found.serial for found in conversation.decode(answer(3)[20:]) if isinstance(found, Answer)]
    assert rest == [2, 3]


def test_what_is_neither_an_answer_nor_a_signal_is_read_over() -> None:
    call = new_method_call(DBusAddress("/", "a.b", "a.b"), "Ping").serialise(serial=3)
    unknown_field = bytearray(answer(4))
    unknown_field += bytes([77]) + b"\1s\0" + bytes(5)
    unknown_field[12:16] = (len(unknown_field) - 16).to_bytes(4, "little")
    unknown_field += bytes(-len(unknown_field) & 7)
    found = decoded(call + bytes(unknown_field) + answer(5))
    assert [one.serial for one in found if isinstance(one, Answer)] == [4, 5]


@pytest.mark.parametrize("data", [
    b"x" * 16,
    b"l\2\0\1" + b"\xff" * 12,  # longer than any may be
    answer(1).replace(b"\5\1u\0", b"\5\1s\0"),
    answer(1).replace(b"\5\1u\0", b"\5\1i\0"),
    answer(1, "s", ("x",)).replace(b"\x08\1g\0\1s\0", b"\x08\1g\0\7s\0"),
    signal().replace(b"\3\1s\0", b"\x09\1s\0"),  # without a member
    signal("s", ("x",))[:-1] + b"!",  # with a value that is none
    fault(1, "a.b.Error").replace(b"\4\1s\0", b"\7\1s\0"),  # without a name
])
def test_what_is_no_message_stays_none(data: bytes) -> None:
    conversation = Conversation("a.b")
    assert [one.serial for one in conversation.decode(answer(7)) if isinstance(one, Answer)] == [7]
    for more in (data, answer(8)):
        with pytest.raises(BadAnswer, match="no D-Bus message"):
            list(conversation.decode(more))


def test_a_message_of_many_megabytes_is_put_together_from_its_pieces() -> None:
    data = answer(1, "s", ("x" * (8 << 20),))
    conversation = Conversation("a.b")
    pieces = [data[at:at + 16384] for at in range(0, len(data), 16384)]
    [found] = [one for piece in pieces for one in conversation.decode(piece)]
    assert isinstance(found, Answer)
    assert len(outcome(found, PLAIN._replace(gives="s"))[0]) == 8 << 20  # type: ignore[index]  # no error came


# -- what an answer means ---------------------------------------------------------------------------------------------


def test_an_answer_of_other_types_is_told_from_one_that_cannot_be_read() -> None:
    with pytest.raises(BadAnswer, match='Plain gave "as", not "s"'):
        values_in(answer(1, "as", (["x"],)), "s")
    with pytest.raises(BadAnswer, match="no D-Bus message"):
        values_in(answer(1, "s", ("x",))[:-1] + b"!", "s")


@pytest.mark.parametrize(("signature", "body", "text"), [
    ("s", ("It is not there\n",), "It is not there"),
    ("si", ("Text", 1), "Text"),
    ("s", ("",), "org.freedesktop.DBus.Error.UnknownMethod"),
    ("i", (1,), "org.freedesktop.DBus.Error.UnknownMethod"),
    ("", (), "org.freedesktop.DBus.Error.UnknownMethod"),
])
def test_an_error_is_what_its_name_says_with_its_text_or_else_its_name(
        signature: str, body: tuple[Any, ...], text: str) -> None:
    error = values_in(fault(1, "org.freedesktop.DBus.Error.UnknownMethod", signature, body), "s")
    assert isinstance(error, Gone)
    assert error.message == text
    assert type(values_in(fault(1, "com.example.Error", signature, body), "s")) is DaemonError


def test_no_more_headers_are_kept_than_is_said() -> None:
    for number in range(300):
        decoded(signal(sender=f":1.{number}"))
        Conversation(f"a.b{number}").encode(PLAIN)
    assert messages._read_fields.cache_info().currsize <= 64
    assert messages._fields_after_path.cache_info().currsize <= 64
