"""The exchange that opens a connection, both sides, bytes in and bytes out."""

from __future__ import annotations

import pytest
from jeepney.auth import Authenticator

from upstartd.bus.auth import LINE_LIMIT, AuthenticationFailed, ClientHandshake, ServerHandshake

GUID = "0123456789abcdef" * 2
ROOT = b"30"  # "0" in hexadecimal
USER = b"31303030"  # "1000"


def server(uid: int = 0) -> ServerHandshake:
    return ServerHandshake(uid, GUID)


def test_a_client_that_says_who_it_is_is_let_in() -> None:
    side = server()
    assert side.start() == b""
    assert side.receive(b"\0AUTH EXTERNAL " + ROOT + b"\r\n") == b"OK " + GUID.encode() + b"\r\n"
    assert not side.done
    assert side.receive(b"BEGIN\r\n") == b""
    assert (side.done, side.rest, side.passes_descriptors) == (True, b"", False)


def test_everything_may_come_at_once_and_messages_right_behind_it() -> None:
    side = server(1000)
    said = side.receive(b"\0AUTH EXTERNAL " + USER + b"\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\nl\1\0\1\r\n")
    assert said == b"OK " + GUID.encode() + b"\r\nAGREE_UNIX_FD\r\n"
    assert (side.done, side.rest, side.passes_descriptors) == (True, b"l\1\0\1\r\n", True)


def test_everything_may_come_byte_by_byte() -> None:
    side = server()
    said = b"".join(side.receive(bytes([byte])) for byte in b"\0AUTH EXTERNAL 30\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n")
    assert said == b"OK " + GUID.encode() + b"\r\nAGREE_UNIX_FD\r\n"
    assert side.done


def test_a_client_may_leave_it_to_the_kernel_who_it_is() -> None:
    side = server()
    assert side.receive(b"\0AUTH EXTERNAL\r\n") == b"DATA\r\n"
    assert side.receive(b"DATA\r\n") == b"OK " + GUID.encode() + b"\r\n"


def test_a_client_may_ask_for_the_mechanisms_first() -> None:
    side = server()
    assert side.receive(b"\0AUTH\r\nAUTH ANONYMOUS\r\n") == b"REJECTED EXTERNAL\r\n" * 2
    assert side.receive(b"AUTH EXTERNAL 30\r\n").startswith(b"OK ")


@pytest.mark.parametrize("identity", [USER, b"3", b"zz", b"3030", b"\xff", b"30 30"])
def test_whoever_claims_to_be_somebody_else_is_rejected(identity: bytes) -> None:
    side = server(0)
    assert side.receive(b"\0AUTH EXTERNAL " + identity + b"\r\n") == b"REJECTED EXTERNAL\r\n"
    assert side.receive(b"NEGOTIATE_UNIX_FD\r\n") == b"ERROR\r\n"
    with pytest.raises(AuthenticationFailed):
        side.receive(b"BEGIN\r\n")


def test_cancel_and_error_go_back_to_the_start() -> None:
    side = server()
    assert side.receive(b"\0AUTH EXTERNAL\r\nCANCEL\r\n") == b"DATA\r\nREJECTED EXTERNAL\r\n"
    assert side.receive(b"AUTH EXTERNAL 30\r\nERROR\r\n").endswith(b"REJECTED EXTERNAL\r\n")
    with pytest.raises(AuthenticationFailed, match="before it has said who it is"):
        side.receive(b"BEGIN\r\n")


def test_nonsense_is_answered_with_error_but_not_for_ever() -> None:
    side = server()
    assert side.receive(b"\0HELLO\r\nDATA\r\n") == b"ERROR\r\nERROR\r\n"
    with pytest.raises(AuthenticationFailed, match="too many lines"):
        side.receive(b"HELLO\r\n" * 100)


def test_a_line_without_end_is_not_kept() -> None:
    side = server()
    side.receive(b"\0" + b"x" * LINE_LIMIT)
    with pytest.raises(AuthenticationFailed, match="too long"):
        side.receive(b"x")


def test_the_first_byte_is_nul() -> None:
    with pytest.raises(AuthenticationFailed, match="NUL"):
        server().receive(b"AUTH EXTERNAL 30\r\n")


def test_jeepney_is_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    side, client = server(1000), Authenticator(enable_fds=True, inc_null_byte=True)
    for data in client:
        client.feed(side.receive(data))
    side.receive(b"BEGIN\r\n")
    assert side.done
    assert side.passes_descriptors


def test_both_sides_get_along() -> None:
    ours, theirs = ClientHandshake(1000), server(1000)
    to_server = ours.start()
    while not theirs.done:
        to_client = theirs.receive(to_server)
        to_server = ours.receive(to_client)
    assert ours.done
    assert ours.passes_descriptors


def test_a_bus_that_passes_no_descriptors_will_do() -> None:
    ours = ClientHandshake(0)
    assert ours.start() == b"\0AUTH EXTERNAL 30\r\n"
    assert ours.receive(b"OK 1234\r\n") == b"NEGOTIATE_UNIX_FD\r\n"
    assert ours.receive(b"ERROR no such thing\r\nrest") == b"BEGIN\r\n"
    assert (ours.done, ours.passes_descriptors, ours.rest) == (True, False, b"rest")


def test_a_bus_may_ask_again() -> None:
    ours = ClientHandshake(0)
    assert ours.receive(b"DATA\r\n") == b"DATA\r\n"
    assert ours.receive(b"OK 1234\r\n") == b"NEGOTIATE_UNIX_FD\r\n"


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        (b"REJECTED EXTERNAL\r\n", "user 7 is not let in"),
        (b"ERROR\r\n", "it answers b'ERROR'"),
        (b"HTTP/1.1 400 Bad Request\r\n", "it answers b'HTTP"),
        (b"OK 1234\r\nOK 1234\r\n", "it answers b'OK"),
        (b"x" * 2000, "too long"),
    ],
)
def test_a_bus_that_does_not_let_us_in_ends_it(said: bytes, complaint: str) -> None:
    with pytest.raises(AuthenticationFailed, match=complaint):
        ClientHandshake(7).receive(said)
