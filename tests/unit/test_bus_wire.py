"""Messages as they come in and go out, with jeepney as the other side."""

from __future__ import annotations

import os
from typing import Any

import pytest
from dbus_next.signature import SignatureTree, Variant
from jeepney import DBusAddress, DBusErrorResponse, Endianness, HeaderFields, MessageType, Parser, new_method_call

from upstartd.bus import encode, wire
from upstartd.bus.wire import FrameReader, Kind, MalformedMessage, Message
from upstartd.errors import LimitsExceeded

ADDRESS = DBusAddress("/com/ubuntu/Upstart", bus_name="com.ubuntu.Upstart", interface="com.ubuntu.Upstart0_6")


def call_bytes(
    signature: str | None = None, values: tuple[Any, ...] = (), *, endianness: Endianness = Endianness.little
) -> bytes:
    message = new_method_call(ADDRESS, "EmitEvent", signature, values)
    message.header.endianness = endianness
    data: bytes = message.serialise(serial=7)
    return data


def read(data: bytes, files: tuple[int, ...] = (), **limits: int) -> list[Message]:
    return list(FrameReader(**limits).feed(data, files))


def as_jeepney_reads(data: bytes) -> Any:
    parser = Parser()
    parser.add_data(data)
    return parser.get_next_message()


def descriptor() -> int:
    return os.open("/dev/null", os.O_RDONLY)


# -- coming in ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("endianness", Endianness)
def test_a_call_is_read_in_either_byte_order(endianness: Endianness) -> None:
    [message] = read(call_bytes("sasb", ("héllo", ["A=b", ""], True), endianness=endianness))
    assert (message.kind, message.serial, message.path) == (Kind.METHOD_CALL, 7, "/com/ubuntu/Upstart")
    assert (message.interface, message.member) == ("com.ubuntu.Upstart0_6", "EmitEvent")
    assert (message.destination, message.sender, message.signature) == ("com.ubuntu.Upstart", None, "sasb")
    assert message.values() == ["héllo", ["A=b", ""], True]


@pytest.mark.parametrize("endianness", Endianness)
def test_every_type_is_read(endianness: Endianness) -> None:
    signature = "ybnqiuxtdsoga{sv}a(si)aas"
    values = (1, False, -2, 3, -4, 5, -6, 7, 0.5, "s", "/o", "as", {"k": ("u", 9)}, [("main", 1)], [["a"], []])
    [message] = read(call_bytes(signature, values, endianness=endianness))
    expected = [*values[:12], {"k": Variant("u", 9)}, [["main", 1]], [["a"], []]]
    assert message.values() == expected


def test_what_follows_the_path_is_read_for_each_message_though_it_is_kept() -> None:
    def call(path: str, member: str) -> bytes:
        data: bytes = new_method_call(DBusAddress(path, "a.b", "a.b"), member).serialise(serial=7)
        return data

    told = [("/a", "One"), ("/b/c", "One"), ("/b/c", "Two"), ("/a/b/c/d", "One"), ("/a", "Two")]
    messages = read(b"".join(call(*one) for one in told * 2))
    assert [(message.path, message.member) for message in messages] == told * 2
    messages[0].fields[wire.Field.MEMBER] = "Other"  # what is kept is nobody's to change
    assert read(call("/x", "One"))[0].member == "One"


def test_what_is_wrong_after_the_path_is_said_each_time() -> None:
    data = call_bytes()
    bad = data.replace(b"EmitEvent", b"Emit\0vent")
    for _ in range(2):
        with pytest.raises(MalformedMessage, match="field 3 is no string"):
            read(bad)


def test_messages_may_come_byte_by_byte_and_several_at_once() -> None:
    reader = FrameReader()
    data = call_bytes("s", ("one",)) + call_bytes() + call_bytes("s", ("three",))
    slowly = [message for byte in data for message in reader.feed(bytes([byte]))]
    at_once = list(reader.feed(data))
    assert [message.values() for message in slowly] == [["one"], [], ["three"]]
    assert slowly == at_once


def test_unknown_header_fields_and_kinds_are_read_over() -> None:
    message = new_method_call(ADDRESS, "EmitEvent", "s", ("x",))
    data = bytearray(message.serialise(serial=7))
    data[1] = 9  # a kind of message that nobody has invented yet
    body = bytes([77]) + b"\x02as\0" + bytes(3) + (8).to_bytes(4, "little") + (3).to_bytes(4, "little") + b"abc\0"
    fields_length = int.from_bytes(data[12:16], "little")
    end = 16 + fields_length + (-fields_length & 7)
    data[end:end] = body + bytes(-len(body) & 7)
    data[12:16] = (end - 16 + len(body)).to_bytes(4, "little")
    [read_message] = read(bytes(data))
    assert read_message.kind == 9
    assert read_message.member == "EmitEvent"
    assert read_message.values() == ["x"]


def test_descriptors_go_to_the_messages_in_order() -> None:
    data = []
    for count in (2, 0, 1):
        message = new_method_call(ADDRESS, "EmitEvent")
        if count:
            message.header.fields[HeaderFields.unix_fds] = count
        data.append(message.serialise(serial=7))
    first, second, third = descriptor(), descriptor(), descriptor()
    messages = read(b"".join(data), (first, second, third))
    assert [message.files for message in messages] == [(first, second), (), (third,)]
    for message in messages:
        message.close_files()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(third)


def test_a_message_that_has_fewer_descriptors_than_it_says_is_refused() -> None:
    message = new_method_call(ADDRESS, "EmitEvent")
    message.header.fields[HeaderFields.unix_fds] = 2
    reader, file = FrameReader(), descriptor()
    with pytest.raises(MalformedMessage, match="it has 1 descriptors in place of 2"):
        list(reader.feed(message.serialise(serial=7), [file]))
    reader.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(file)


def test_descriptors_that_no_message_has_are_refused_and_closed() -> None:
    reader, file = FrameReader(), descriptor()
    with pytest.raises(MalformedMessage, match="no message has"):
        list(reader.feed(call_bytes(), [file]))
    reader.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(file)


def test_more_descriptors_than_allowed_are_refused_at_once() -> None:
    reader, file = FrameReader(descriptor_limit=0), descriptor()
    with pytest.raises(MalformedMessage, match="more descriptors"):
        reader.feed(b"", [file])
    reader.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(file)


def patched(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"x" + call_bytes()[1:], "byte order"),
        (patched(call_bytes(), 1, b"\0"), "type or its serial"),
        (patched(call_bytes(), 3, b"\2"), "protocol version"),
        (patched(call_bytes(), 8, bytes(4)), "type or its serial"),
        (patched(call_bytes(), 4, b"\xff\xff\xff\x7f"), "are allowed"),
        (patched(call_bytes(), 17, b"\1s"), "wrong type"),  # the path as a string
        (patched(call_bytes(), 20, b"\xff"), "no string"),
        (patched(call_bytes(), 25, b"\0"), "no string"),
        (patched(call_bytes(), 25, b"\xff"), "UnicodeDecodeError"),
        (patched(call_bytes(), 1, b"\2"), "no REPLY_SERIAL"),
        (new_method_call(ADDRESS, "M").serialise(serial=1).replace(b"\3\1s\0", b"\7\1s\0"), "no MEMBER"),
    ],
)
def test_what_is_wrong_with_a_header_is_said(data: bytes, complaint: str) -> None:
    with pytest.raises(MalformedMessage, match=complaint):
        read(data)


def body_of(signature: str, body: bytes) -> Message:
    return Message(Kind.METHOD_CALL, 0, 1, wire.LITTLE, {wire.Field.SIGNATURE: signature}, body)


@pytest.mark.parametrize(
    ("signature", "body"),
    [
        ("s", b"\3\0\0\0a\0c\0"),  # a NUL inside
        ("s", b"\3\0\0\0abcd"),  # none after it
        ("s", b"\3\0\0\0ab"),
        ("s", b"\1\0\0\0\xff\0"),
        ("b", b"\2\0\0\0"),
        ("s", b"\1\0\0\0a\0\0"),  # more than there should be
        ("", b"x"),
        ("as", b"\3\0\0\0\1\0\0\0a\0"),  # the element does not end where the array does
        ("as", b"\xff\xff\xff\xff"),
        ("v", b"\1z\0\0"),
        ("v", b"\2ss\0\0\0\0\0\0\0\0\0"),
        ("v", b"\0\0"),
        ("v", b"\1v\0" * 20000),  # deeper than anybody can follow
        ("a{vs}", b"\x0d\0\0\0\0\0\0\0\1y\0\1\1\0\0\0\0\0\0\0"),
        ("(s", b"\1\0\0\0a\0"),
        ("z", b"\0"),
        ("sb", b"\1\0\0\0a\0"),
    ],
)
def test_a_body_that_is_not_what_it_claims_is_malformed(signature: str, body: bytes) -> None:
    with pytest.raises(MalformedMessage):
        body_of(signature, body).values()


def test_foreign_signatures_do_not_pile_up() -> None:
    for number in range(2000):
        signature = "".join("yb"[int(digit)] for digit in f"{number:b}")
        with pytest.raises(MalformedMessage):
            body_of(signature, b"").values()
    assert len(SignatureTree._cache) < 1000


def test_one_byte_over_the_limit_is_too_long() -> None:
    data = call_bytes("s", ("x" * 100,))
    assert len(read(data, limit=len(data))) == 1
    with pytest.raises(MalformedMessage, match="are allowed"):
        read(data, limit=len(data) - 1)


# -- going out ------------------------------------------------------------------------------------------------


def test_a_signal_is_read_by_jeepney() -> None:
    for _ in range(2):  # made, and made again from what was kept of it
        data = encode.encode_signal("/a/b", "a.b.C", "Done", "sas", ["x", ["y", "z"]])
        message = as_jeepney_reads(data)
        assert message.header.message_type is MessageType.signal
        assert message.header.fields == {
            HeaderFields.path: "/a/b", HeaderFields.interface: "a.b.C", HeaderFields.member: "Done",
            HeaderFields.signature: "sas",
        }  # fmt: skip
        assert message.body == ("x", ["y", "z"])


@pytest.mark.parametrize("destination", [None, ":1.7"])
@pytest.mark.parametrize(("signature", "values"), [("", []), ("ao", [["/a", "/b"]]), ("v", [Variant("s", "x")])])
def test_an_answer_is_read_by_jeepney(destination: str | None, signature: str, values: list[Any]) -> None:
    for serial in (5, 0x01020304):
        fields = as_jeepney_reads(encode.encode_return(serial, destination, signature, values)).header.fields
        assert fields[HeaderFields.reply_serial] == serial
        assert fields.get(HeaderFields.destination) == destination
        assert fields.get(HeaderFields.signature, "") == signature


@pytest.mark.parametrize(("type_", "value"), [
    ("b", True), ("n", -2), ("q", 3), ("i", -4), ("u", 5), ("x", -6), ("t", 7), ("d", 0.5), ("s", "é"), ("o", "/o"),
    ("g", "as"), ("as", ["a", "", "bcd"]), ("aas", [[], ["a"]]), ("aad", [[], [0.5]]),
])
def test_a_value_of_any_type_is_aligned_after_anything(type_: str, value: Any) -> None:
    for length in range(9):
        signature = "y" * length + type_ + "a" + type_ + "v" + "a{sv}"
        values = [*range(length), value, [value], Variant(type_, value), {"k": Variant(type_, value)}]
        body = as_jeepney_reads(encode.encode_signal("/a", "a.b", "M", signature, values)).body
        assert body == (*range(length), value, [value], (type_, value), {"k": (type_, value)})


def test_an_error_is_read_by_jeepney() -> None:
    message = as_jeepney_reads(encode.encode_error(9, ":1.7", "a.b.Error", "no"))
    assert message.header.fields[HeaderFields.reply_serial] == 9
    assert str(DBusErrorResponse(message)) == "[a.b.Error] ('no',)"


def test_what_goes_out_can_come_in_again() -> None:
    [message] = read(encode.encode_call(3, ":1.1", "/a", "a.b", "M", "sa{sv}", ["x", {"k": Variant("i", -1)}]))
    assert (message.serial, message.destination, message.path) == (3, ":1.1", "/a")
    assert message.values() == ["x", {"k": Variant("i", -1)}]


def test_strings_that_cannot_be_sent_are_mended() -> None:
    broken = "a\0b\udcffc\ud800é"
    [message] = read(encode.encode_signal("/a", "a.b", "M", "sasv", [broken, [broken], Variant("s", broken)]))
    mended = "a�b�c�é"
    assert message.values() == [mended, [mended], Variant("s", mended)]
    [error] = read(encode.encode_error(1, None, "a.b", broken))
    assert error.values() == [mended]


def test_serials_are_never_zero_and_fit_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encode, "_serials", iter([0, 0xFFFFFFFE, 0xFFFFFFFF, 0x100000000]))
    assert [encode.next_serial() for _ in range(4)] == [1, 0xFFFFFFFF, 1, 2]


def test_a_message_that_no_bus_would_take_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encode, "MESSAGE_LIMIT", 1000)
    with pytest.raises(LimitsExceeded, match="1000 are the most"):
        encode.encode_return(1, None, "s", ["x" * 1000])
