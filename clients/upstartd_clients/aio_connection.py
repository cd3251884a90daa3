"""One D-Bus connection in an event loop: calls go out, and a task hands on what comes in.

Not responsible for the messages themselves (messages.py), nor for connecting (connect.py, in a thread: it is the
blocking clients' own way). Source: D-Bus specification, Message Protocol.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from upstartd_clients.connection import ANSWER_SECONDS, CALLS_AHEAD
from upstartd_clients.errors import ClientError, ConnectionLost, DaemonError, Gone
from upstartd_clients.messages import Answer, Call, outcome

if TYPE_CHECKING:
    from collections.abc import Iterable

    from upstartd_clients.connection import Connection
    from upstartd_clients.messages import Conversation
    from upstartd_clients.signals import Following

_PIECE = 65536


class AioConnection:
    """What connection.py's Connection is, in an event loop, and made of one. Only for the loop that opened it.

    `followers` get each signal, and the error with which the connection ends.
    """

    def __init__(self, conversation: Conversation, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *,
                 on_bus: bool) -> None:
        self.destination = conversation.destination
        self.on_bus = on_bus
        self.followers: dict[Following, asyncio.Event] = {}  # set when there is news for it
        self._conversation = conversation
        self._reader = reader
        self._writer = writer
        self._answers: dict[int, asyncio.Future[Answer]] = {}  # by serial
        self._end: ClientError | None = None
        self._receiver = asyncio.create_task(self._receive())

    @classmethod
    async def open(cls, connection: Connection) -> AioConnection:
        """Take a connection over that has been made, and that nobody else uses any more."""
        sock, conversation = connection.hand_over()
        reader, writer = await asyncio.open_unix_connection(sock=sock)
        return cls(conversation, reader, writer, on_bus=connection.on_bus)

    async def close(self) -> None:
        """Hang up. Whoever waits for something on it gets ConnectionLost."""
        self._receiver.cancel()
        with suppress(asyncio.CancelledError):
            await self._receiver
        with suppress(OSError):  # It is lost already: no matter.
            await self._writer.wait_closed()

    async def call(self, call: Call, *, seconds: float | None = ANSWER_SECONDS) -> tuple[Any, ...]:
        """What the call returns, of the types that `gives` says. It waits `seconds`, without limit if None.

        DaemonError if the answer is an error, ConnectionLost if there is none, BadAnswer if it is of other types.
        """
        answer = await self._answer(call, seconds)
        if isinstance(answer, DaemonError):
            raise answer
        return answer

    async def call_all(self, calls: Iterable[Call]) -> list[tuple[Any, ...] | None]:
        """What each call returns, in order; many are under way at a time. None where the object is gone.

        Other errors as for call().
        """
        todo, found = list(calls), []
        while todo:
            now, todo = todo[:CALLS_AHEAD], todo[CALLS_AHEAD:]
            for answer in await asyncio.gather(*(self._answer(call, ANSWER_SECONDS) for call in now)):
                if isinstance(answer, DaemonError) and not isinstance(answer, Gone):
                    raise answer
                found.append(None if isinstance(answer, DaemonError) else answer)
        return found

    async def _answer(self, call: Call, seconds: float | None) -> tuple[Any, ...] | DaemonError:
        if self._end is not None:
            raise self._end
        serial, data = self._conversation.encode(call)
        coming = self._answers[serial] = asyncio.get_running_loop().create_future()
        try:
            self._writer.write(data)
            async with asyncio.timeout(seconds):
                await self._writer.drain()
                answer = await coming
        except TimeoutError:
            raise ConnectionLost(f"no answer from Upstart within {seconds:g} seconds") from None
        except OSError as error:
            raise ConnectionLost(f"lost the connection to Upstart: {error.strerror or error}") from error
        finally:
            del self._answers[serial]  # One that comes later is nobody's.
        return outcome(answer, call)

    async def _receive(self) -> None:
        """Hand on what comes, until nothing will come any more."""
        end: ClientError = ConnectionLost("lost the connection to Upstart before it answered")
        try:
            while data := await self._reader.read(_PIECE):
                for came in self._conversation.decode(data):
                    if not isinstance(came, Answer):
                        for follower, news in self.followers.items():
                            follower.take(came)
                            news.set()
                    elif (coming := self._answers.get(came.serial)) and not coming.done():  # done: it was given up
                        coming.set_result(came)
        except OSError as error:
            end = ConnectionLost(f"lost the connection to Upstart: {error.strerror or error}")
        except ClientError as error:
            end = error
        finally:
            self._finish(end)

    def _finish(self, end: ClientError) -> None:
        self._end = end
        self._writer.close()
        for coming in self._answers.values():
            if not coming.done():
                coming.set_exception(end)
        for follower, news in self.followers.items():
            follower.end(end)
            news.set()
