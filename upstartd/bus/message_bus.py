"""One connection to a message bus: the name on it, and who the callers are.

Not responsible for what callers ask for (dispatch.py), or for getting back onto a bus (bus_keeper.py). Source:
events specification, section 1; runtime specification, 7.4; D-Bus specification, "Message Bus Specification".
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

from upstartd.bus.auth import ClientHandshake
from upstartd.bus.calls import Call
from upstartd.bus.connections import Connection
from upstartd.bus.encode import encode_call, next_serial
from upstartd.bus.interfaces import BUS_NAME
from upstartd.bus.wire import MESSAGE_LIMIT, Kind, MalformedMessage
from upstartd.errors import FREEDESKTOP, BusError, LimitsExceeded, OperationFailed

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from upstartd.bus.dispatch import Dispatcher
    from upstartd.bus.wire import Message

_BUS = "org.freedesktop.DBus"
_BUS_PATH = "/org/freedesktop/DBus"
_DO_NOT_QUEUE = 4  # a flag of RequestName
_IS_TAKEN = 3  # an answer of RequestName

_USERS_REMEMBERED = 1024
_CALLS_HELD = 4096


class MessageBus:
    """A connection to a bus over `sock`, whose `lost` is called with the reason when it ends by itself."""

    def __init__(self, sock: socket.socket, dispatcher: Dispatcher, lost: Callable[[str], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._dispatcher = dispatcher
        self._lost = lost
        self._is_open: asyncio.Future[None] = self._loop.create_future()
        self._answers: dict[int, asyncio.Future[list[Any]]] = {}  # by the serial of the question
        self._users: dict[str, int] = {}  # by unique name; a bus gives no such name twice
        self._held: dict[str, list[Message]] = {}  # what came before its sender's user was known
        self.connection = Connection(self._loop, sock, ClientHandshake(os.geteuid()), self, MESSAGE_LIMIT)
        self.connection.start()

    async def say_hello(self) -> None:
        """Become somebody on the bus. Raises BusError."""
        await self._is_open
        await self.ask("Hello")

    async def take_name(self) -> None:
        """Become com.ubuntu.Upstart. Raises OperationFailed where somebody else is that, BusError."""
        if await self.ask("RequestName", "su", [BUS_NAME, _DO_NOT_QUEUE]) == [_IS_TAKEN]:
            raise OperationFailed("Name already taken")

    def ask(self, member: str, signature: str = "", values: list[Any] | None = None) -> asyncio.Future[list[Any]]:
        """Call a method of the bus itself; the future gives what it answers, or raises BusError."""
        serial = next_serial()
        answer: asyncio.Future[list[Any]] = self._loop.create_future()
        self._answers[serial] = answer
        answer.add_done_callback(lambda _: self._answers.pop(serial, None))
        self.connection.send(encode_call(serial, _BUS, _BUS_PATH, _BUS, member, signature, values))
        if self.connection.is_closed:  # before, or by what it was just to send
            self._forget("it has gone")
        return answer

    def close(self) -> None:
        """Leave the bus."""
        self.connection.close()
        self._forget("the connection was closed")

    # -- what the connection tells ----------------------------------------------------------------------------

    def opened(self, connection: Connection) -> None:
        """The bus knows who we are."""
        if not self._is_open.done():
            self._is_open.set_result(None)

    def closed(self, connection: Connection, reason: str, ours: bool) -> None:
        """The bus has gone, or has been dropped."""
        self._forget(reason)
        self._lost(reason)

    def received(self, connection: Connection, message: Message) -> None:
        """A call from somebody on the bus, or an answer of the bus; signals mean nothing here."""
        if message.kind == Kind.METHOD_CALL:
            self._called(message)
            return
        message.close_files()
        answer = self._answers.get(message.reply_serial or 0)
        if answer is None or answer.done():
            return
        try:
            values = message.values()
        except MalformedMessage as why:
            answer.set_exception(BusError(FREEDESKTOP + "Failed", f"cannot read the answer of the bus: {why}"))
            return
        if message.kind == Kind.METHOD_RETURN:
            answer.set_result(values)
        else:
            text = values[0] if values and isinstance(values[0], str) else "the bus gives no reason"
            answer.set_exception(BusError(message.error_name or FREEDESKTOP + "Failed", text))

    # -- callers ----------------------------------------------------------------------------------------------

    def _called(self, message: Message) -> None:
        """Have a call carried out, once it is known which user it comes from, where that matters."""
        sender = message.sender or ""
        held = self._held.get(sender)
        if held is not None:  # later calls of one sender do not overtake
            if sum(map(len, self._held.values())) < _CALLS_HELD:
                held.append(message)
            else:
                message.close_files()
                Call(self.connection, message, None).error(LimitsExceeded("too many calls at once"))
        elif sender in self._users or not self._dispatcher.depends_on_the_caller(message):
            self._dispatcher.handle(self.connection, message, self._users.get(sender))
        else:
            self._held[sender] = [message]
            answer = self.ask("GetConnectionUnixUser", "s", [sender])
            answer.add_done_callback(lambda answer: self._known(sender, answer))

    def _known(self, sender: str, answer: asyncio.Future[list[Any]]) -> None:
        """Go on with the calls of a sender, whose user is known now; if it is not, the sender is gone."""
        if not answer.cancelled() and answer.exception() is None:
            match answer.result():
                case [int(user)]:
                    if len(self._users) >= _USERS_REMEMBERED:
                        del self._users[next(iter(self._users))]
                    self._users[sender] = user
        for message in self._held.pop(sender, ()):
            self._dispatcher.handle(self.connection, message, self._users.get(sender))

    def _forget(self, reason: str) -> None:
        """Nobody is answered any more, neither we nor those whose calls are held."""
        lost = BusError(FREEDESKTOP + "Disconnected", f"the connection to the bus is lost: {reason}")
        unanswered: list[asyncio.Future[Any]] = [self._is_open, *self._answers.values()]
        for answer in unanswered:
            if not answer.done():
                answer.set_exception(lost)
                answer.exception()  # so that it counts as seen where nobody waits for it
        for message in [message for held in self._held.values() for message in held]:
            message.close_files()
        self._held.clear()
