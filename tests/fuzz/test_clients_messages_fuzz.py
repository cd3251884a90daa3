"""Foreign bytes at a client: there are messages or one kind of error; and daemon and clients understand each other."""

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise
from typing import Any

from dbus_next.signature import Variant
from hypothesis import example, given
from hypothesis import strategies as st
from jeepney import Parser

from support.dbus_bodies import BASIC, PATHS, TEXT, bodies
from upstartd.bus.encode import encode_call, encode_error, encode_return, encode_signal
from upstartd.bus.wire import FrameReader
from upstartd_clients.errors import BadAnswer, DaemonError
from upstartd_clients.messages import Answer, Call, Conversation, RawSignal, outcome

SAMPLES = [
    encode_call(1, "com.ubuntu.Upstart", "/com/ubuntu/Upstart", "com.ubuntu.Upstart0_6", "EmitEvent", "sasb",
                ["x", ["A=b"], True]),
    encode_signal("/a/b", "a.b", "C", "a{sv}a(si)", [{"k": Variant("as", ["v"])}, [["main", 1]]]),
    encode_return(7, ":1.1", "v", [Variant("v", Variant("ay", b"abc"))]),
    encode_return(8, None, "ao", [["/a", "/b/c"]]),
    encode_error(7, None, "a.b", "text"),
]  # fmt: skip


def read_all(data: bytes) -> None:
    """Read all messages in the bytes, bodies and all; whatever is wrong with them is one kind of error."""
    with suppress(BadAnswer):
        for message in Conversation("a.b").decode(data):
            if isinstance(message, Answer):
                with suppress(BadAnswer):
                    outcome(message, Call("/", "a.b", "M", gives=message.signature))


@given(st.binary(max_size=300))
@example(b"l\2\0\1" + bytes(12))
@example(b"l\2\0\1\0\0\0\0\1\0\0\0\xff\xff\xff\xff")
def test_any_bytes_are_messages_or_a_bad_answer(data: bytes) -> None:
    read_all(data)


@given(st.sampled_from(SAMPLES), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=6))
def test_damaged_messages_are_messages_or_a_bad_answer(data: bytes, damage: list[tuple[int, int]]) -> None:
    damaged = bytearray(data)
    for at, byte in damage:
        damaged[at % len(data)] = byte
    read_all(bytes(damaged))


@given(st.sampled_from(SAMPLES), st.data())
def test_messages_with_pieces_cut_out_or_put_in_are_messages_or_bad(sample: bytes, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(sample)))
    end = data.draw(st.integers(start, len(sample)))
    read_all(sample[:start] + data.draw(st.binary(max_size=16)) + sample[end:])


@given(bodies("".join(BASIC).replace("h", "")), st.integers(1, 2**32 - 1))  # no client asks for descriptors
def test_what_the_daemon_answers_is_what_jeepney_reads(body: list[tuple[str, Any]], serial: int) -> None:
    signature, values = "".join(kind for kind, _ in body), [value for _, value in body]
    if len(signature) > 255:
        return  # more than a signature may have
    for data in (encode_return(serial, ":1.5", signature, values), encode_return(serial, None, signature, values)):
        [found] = Conversation("a.b").decode(data)
        [expected] = Parser().feed(data)
        assert isinstance(found, Answer)
        assert found.serial == serial
        assert outcome(found, Call("/", "a.b", "M", gives=signature)) == expected.body
    [signal] = Conversation("a.b").decode(encode_signal("/a", "a.b", "Done", signature, values))
    assert signal == RawSignal("", "/a", "a.b", "Done", signature, expected.body)


@given(TEXT, st.integers(1, 2**32 - 1))
def test_what_the_daemon_refuses_is_an_error_with_its_text(text: str, serial: int) -> None:
    [found] = Conversation("a.b").decode(encode_error(serial, None, "a.b.Error", text))
    assert isinstance(found, Answer)
    error = outcome(found, Call("/", "a.b", "M"))
    assert isinstance(error, DaemonError)
    assert (error.name, error.message) == ("a.b.Error", text.rstrip("\n") or "a.b.Error")


@given(PATHS, TEXT, st.lists(TEXT, max_size=4), st.booleans())
def test_what_a_client_calls_is_what_the_daemon_reads(path: str, text: str, texts: list[str], wait: bool) -> None:
    call = Call(path, "a.b.C", "M", "sasbv", (text, texts, wait, ("s", text)))
    serial, data = Conversation("com.ubuntu.Upstart").encode(call)
    [read] = FrameReader().feed(data)
    assert (read.serial, read.path, read.interface, read.member) == (serial, path, "a.b.C", "M")
    assert (read.destination, read.signature) == ("com.ubuntu.Upstart", "sasbv")
    assert read.values() == [text, texts, wait, Variant("s", text)]


@given(st.lists(st.sampled_from(SAMPLES[1:]), max_size=4), st.lists(st.integers(0, 400), max_size=8))
def test_it_does_not_matter_in_which_pieces_answers_come(samples: list[bytes], cuts: list[int]) -> None:
    data = b"".join(samples)
    ends = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    conversation = Conversation("a.b")
    found = [message for start, end in pairwise(ends) for message in conversation.decode(data[start:end])]
    assert found == list(Conversation("a.b").decode(data))
    assert len(found) == len(samples)
