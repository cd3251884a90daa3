"""Connections over socket pairs: turns, order, and what goes out in one piece."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

from upstartd.bus import connections
from upstartd.bus.connections import Connection
from upstartd.bus.encode import encode_call, encode_signal
from upstartd.bus.wire import FrameReader

if TYPE_CHECKING:
    import pytest

    from upstartd.bus.wire import Message

CALL = encode_call(1, "a.b", "/", "a.b", "M")


class LetIn:
    """An exchange that is over before it begins."""

    done = True
    passes_descriptors = False

    def start(self) -> bytes:
        return b""

    def receive(self, data: bytes) -> bytes:
        self.rest = data
        return b""


class Seen:
    """An owner that writes down what it is told."""

    def __init__(self) -> None:
        self.messages: list[tuple[Connection, Message]] = []
        self.ends: list[tuple[Connection, str, bool]] = []

    def opened(self, connection: Connection) -> None:
        pass

    def received(self, connection: Connection, message: Message) -> None:
        self.messages.append((connection, message))

    def closed(self, connection: Connection, reason: str, ours: bool) -> None:
        self.ends.append((connection, reason, ours))


def pair(owner: Seen) -> tuple[Connection, socket.socket]:
    """A connection of the owner's, started, and its other end."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    connection = Connection(asyncio.get_running_loop(), ours, LetIn(), owner, 1 << 20, 0)
    connection.start()
    return connection, theirs


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def test_a_pile_of_calls_is_taken_in_turns_with_other_connections() -> None:
    async def play() -> None:
        owner = Seen()
        (busy, busy_end), (other, other_end) = pair(owner), pair(owner)
        pile = len(CALL) * 1000
        assert busy_end.send(CALL * 1000) == pile  # all of it is there before the first turn
        other_end.send(CALL)
        while len(owner.messages) < 1001:
            await asyncio.sleep(0)
        place = [connection for connection, _ in owner.messages].index(other)
        assert place < 500
        for connection, end in ((busy, busy_end), (other, other_end)):
            connection.close()
            end.close()
        assert owner.ends == []

    asyncio.run(play())


def test_what_is_sent_in_one_turn_goes_out_in_order_and_together() -> None:
    async def play() -> None:
        connection, end = pair(Seen())
        for number in range(100):
            connection.send(encode_signal("/", "a.b", "C", "s", [str(number)]))
        await turns()
        data = end.recv(1 << 20)
        assert [message.values() for message in FrameReader().feed(data)] == [[str(number)] for number in range(100)]
        connection.close()
        end.close()

    asyncio.run(play())


def test_a_queue_that_the_socket_does_not_take_at_once_arrives_whole_and_in_order() -> None:
    async def play() -> None:
        connection, end = pair(Seen())
        sizes = [1, 100_000, 3, 1_000_000, 70_000, 5] * 3
        for size in sizes:
            connection.send(encode_signal("/", "a.b", "C", "s", ["x" * size]))
        reader = FrameReader()
        found: list[int] = []
        while len(found) < len(sizes):
            await asyncio.sleep(0)
            try:
                found += [len(message.values()[0]) for message in reader.feed(end.recv(50_000))]
            except BlockingIOError:
                continue
        assert found == sizes
        await turns()
        assert (connection._queued, connection._waits_for_room) == (0, False)
        connection.close()
        end.close()

    asyncio.run(play())


def test_a_burst_within_one_turn_costs_no_connection_whose_other_side_has_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "QUEUE_LIMIT", 10_000)

    async def play() -> None:
        owner = Seen()
        connection, end = pair(owner)
        for _ in range(15):
            connection.send(encode_signal("/", "a.b", "C", "s", ["x" * 4000]))
        await turns()
        assert owner.ends == []
        assert len(list(FrameReader().feed(end.recv(1 << 20)))) == 15
        for _ in range(1000):
            connection.send(encode_signal("/", "a.b", "C", "s", ["x" * 4000]))
        assert owner.ends == [(connection, "it does not read what it is sent", True)]
        end.close()

    asyncio.run(play())


def test_the_end_of_the_other_side_is_told_once_and_what_is_sent_then_is_lost() -> None:
    async def play() -> None:
        owner = Seen()
        connection, end = pair(owner)
        end.close()
        await turns()
        connection.send(CALL)
        connection.flush()
        connection.close()
        await turns()
        assert owner.ends == [(connection, "it went away", False)]

    asyncio.run(play())


def test_an_end_that_is_noticed_when_sending_is_told() -> None:
    async def play() -> None:
        owner = Seen()
        connection, end = pair(owner)
        end.close()
        connection.send(CALL)
        connection.flush()
        assert owner.ends == [(connection, "Broken pipe", False)]

    asyncio.run(play())


def test_messages_after_the_one_that_closes_the_connection_are_not_handled() -> None:
    class Closing(Seen):
        def received(self, connection: Connection, message: Message) -> None:
            super().received(connection, message)
            connection.close()

    async def play() -> None:
        owner = Closing()
        _, end = pair(owner)
        end.send(CALL * 3)
        await turns()
        assert len(owner.messages) == 1
        assert owner.ends == []
        end.close()

    asyncio.run(play())
