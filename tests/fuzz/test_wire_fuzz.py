"""Foreign bytes: whatever comes, there are messages or one kind of error, and nothing else."""

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise
from typing import Any

from dbus_next.signature import Variant
from hypothesis import example, given
from hypothesis import strategies as st

from support.dbus_bodies import bodies
from upstartd.bus.auth import AuthenticationFailed, ClientHandshake, Handshake, ServerHandshake
from upstartd.bus.encode import encode_call, encode_error, encode_return, encode_signal
from upstartd.bus.wire import FrameReader, MalformedMessage, Message

SAMPLES = [
    encode_call(1, "com.ubuntu.Upstart", "/com/ubuntu/Upstart", "com.ubuntu.Upstart0_6", "EmitEvent", "sasb",
                ["x", ["A=b"], True]),
    encode_signal("/a/b", "a.b", "C", "a{sv}a(si)", [{"k": Variant("as", ["v"])}, [["main", 1]]]),
    encode_return(7, ":1.1", "v", [Variant("v", Variant("ay", b"abc"))]),
    encode_error(7, None, "a.b", "text"),
]  # fmt: skip


def read_all(data: bytes) -> None:
    """Read all messages in the bytes, bodies and all; whatever is wrong with them is one kind of error."""
    reader = FrameReader(limit=1 << 16)
    with suppress(MalformedMessage):
        for message in reader.feed(data):
            message.values()


@given(st.binary(max_size=300))
@example(b"l\1\0\1" + bytes(12))
@example(b"l\1\0\1\0\0\0\0\1\0\0\0\xff\xff\xff\xff")
def test_any_bytes_are_messages_or_malformed(data: bytes) -> None:
    read_all(data)


@given(st.sampled_from(SAMPLES), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=6))
def test_damaged_messages_are_messages_or_malformed(data: bytes, damage: list[tuple[int, int]]) -> None:
    damaged = bytearray(data)
    for at, byte in damage:
        damaged[at % len(data)] = byte
    read_all(bytes(damaged))


@given(st.sampled_from(SAMPLES), st.data())
def test_messages_with_pieces_cut_out_or_put_in_are_messages_or_malformed(sample: bytes, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(sample)))
    end = data.draw(st.integers(start, len(sample)))
    read_all(sample[:start] + data.draw(st.binary(max_size=16)) + sample[end:])


@given(bodies())
def test_what_is_encoded_is_read_back(body: list[tuple[str, Any]]) -> None:
    signature, values = "".join(kind for kind, _ in body), [value for _, value in body]
    if len(signature) > 255:
        return  # more than a signature may have
    [read] = FrameReader().feed(encode_call(1, "a.b", "/", "a.b", "M", signature, values))
    assert read.signature == signature
    assert read.values() == values


@given(st.lists(st.sampled_from(SAMPLES), max_size=4), st.lists(st.integers(0, 400), max_size=8))
def test_it_does_not_matter_in_which_pieces_messages_come(messages: list[bytes], cuts: list[int]) -> None:
    data = b"".join(messages)
    ends = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    reader = FrameReader()
    found: list[Message] = []
    for start, end in pairwise(ends):
        found += reader.feed(data[start:end])
    assert found == list(FrameReader().feed(data))
    assert len(found) == len(messages)


@given(st.text(max_size=50), st.lists(st.text(max_size=20), max_size=3))
def test_any_text_can_be_sent(text: str, texts: list[str]) -> None:
    [message] = FrameReader().feed(encode_signal("/", "a.b", "C", "sas", [text, texts]))
    [read, _] = message.values()
    assert read == "".join("�" if char == "\0" or "\ud800" <= char <= "\udfff" else char for char in text)


LINES = st.lists(
    st.one_of(
        st.binary(max_size=20),
        st.sampled_from([b"AUTH EXTERNAL 30", b"AUTH EXTERNAL", b"AUTH", b"DATA", b"DATA 30", b"BEGIN", b"CANCEL",
                         b"NEGOTIATE_UNIX_FD", b"ERROR", b"OK 00", b"AGREE_UNIX_FD", b"REJECTED EXTERNAL"]),
    ),
    max_size=12,
)  # fmt: skip


@given(LINES, st.booleans(), st.integers(1, 40))
def test_any_lines_open_a_connection_or_fail(lines: list[bytes], nul: bool, size: int) -> None:
    said = (b"\0" if nul else b"") + b"".join(line + b"\r\n" for line in lines)
    for side in (ServerHandshake(0, "00" * 16), ClientHandshake(0)):
        ends_well(side, [said[at : at + size] for at in range(0, len(said), size)])


def ends_well(side: Handshake, pieces: list[bytes]) -> None:
    with suppress(AuthenticationFailed):
        for piece in pieces:
            if side.done:
                break
            answer = side.receive(piece)
            assert not answer or answer.endswith(b"\r\n")
            assert side.done or len(side.rest) < 2048
