"""Being on a message bus for as long as there is one: getting there, noticing its loss, getting back.

No clock is involved while there is nothing to do: what brings the daemon back is the bus's socket appearing, or
being told to (SIGUSR1). Source: runtime specification, sections 2, 3 and 7.4; design, Budgets.
"""

from __future__ import annotations

import asyncio
import enum
from typing import TYPE_CHECKING

from upstartd.bus import address
from upstartd.bus.message_bus import MessageBus
from upstartd.bus.socket_watch import SocketWatch
from upstartd.errors import FREEDESKTOP, BusError, UpstartdError

if TYPE_CHECKING:
    from collections.abc import Callable

    from upstartd.bus.connections import Connection
    from upstartd.bus.dispatch import Dispatcher
    from upstartd.log import Log

# How long a bus may take to let us in, in seconds: what the reference's library waits for any answer.
_PATIENCE = 25.0
# A socket's file is there a moment before somebody listens on it, and a bus that went away may be back at once. So a
# sign of life is worth these attempts, each after a pause in seconds. Without such a sign nothing is attempted.
_PAUSES = (0.0, 0.01, 0.05, 0.25, 1.0)
# A bus that drops us sooner than this, in seconds, is not gone back to of our own accord: it might do so for ever.
_WORTH_GOING_BACK_TO = 1.0


class BusKind(enum.Enum):
    """Which bus it is; the value is how messages name it."""

    SYSTEM = "D-Bus system bus"
    SESSION = "D-Bus session bus"
    NOTIFIED = "notified D-Bus bus"


class BusKeeper:
    """Keeps the daemon on the bus at `where`. Raises BadAddress.

    `attached` is told of each connection that signals are to go to, `detached` of each that is lost.
    """

    def __init__(
        self,
        where: str,
        kind: BusKind,
        dispatcher: Dispatcher,
        log: Log,
        attached: Callable[[Connection], None],
        detached: Callable[[Connection], None],
    ) -> None:
        self.address = where
        self.kind = kind
        self.bus: MessageBus | None = None  # once the name there is ours
        self._sockets = address.parse_address(where)
        self._loop = asyncio.get_running_loop()
        self._dispatcher = dispatcher
        self._log = log
        self._attached = attached
        self._detached = detached
        self._one_at_a_time = asyncio.Lock()
        self._since = 0.0  # when the name became ours, on the loop's clock
        self._watch: SocketWatch | None = None
        self._attempts: asyncio.Task[None] | None = None
        self._pauses = iter(_PAUSES)
        self._complains = False  # whether somebody wants to know how the next attempt fails

    async def connect(self) -> None:
        """Get onto the bus; do nothing if that is so already. Raises UpstartdError."""
        async with self._one_at_a_time:
            if self.bus is not None:
                return
            sock = address.connect(self._sockets)
            bus = MessageBus(sock, self._dispatcher, self._lost)
            try:
                async with asyncio.timeout(_PATIENCE):
                    await bus.say_hello()
                    # Before the name is ours: whoever sees it may call at once, and expects the signals.
                    self._attached(bus.connection)
                    await bus.take_name()
            except BaseException as why:
                self._detached(bus.connection)
                bus.close()
                if isinstance(why, TimeoutError):
                    text = f"cannot connect to {self.address}: it does not answer"
                    raise BusError(FREEDESKTOP + "NoReply", text) from why
                raise
            self.bus = bus
            self._since = self._loop.time()
            self._stop_watching()

    def come_when_possible(self) -> None:
        """Get onto the bus as soon as its socket appears, unless we are there."""
        if self.bus is not None or self._watch is not None:
            return
        try:
            self._watch = SocketWatch(self._loop, address.paths(self._sockets), self._socket_changed)
        except OSError as why:
            self._log.warn(f"cannot watch for the {self.kind.value}: {why.strerror}")

    def reconnect(self) -> None:
        """Get onto the bus now if we are not there, and log how it goes (SIGUSR1)."""
        if self.bus is None:
            self._log.info(f"Reconnecting to {self.kind.value}")
            self.come_when_possible()
            self._complains = True
            self._attempt()

    def close(self) -> None:
        """Leave the bus for good."""
        self._stop_watching()
        if self._attempts is not None:
            self._attempts.cancel()
        if self.bus is not None:
            self.bus.close()
            self.bus = None

    def _lost(self, reason: str) -> None:
        if self.bus is None:
            return  # while connecting; connect() raises
        self._detached(self.bus.connection)
        self.bus = None
        self._log.warn(f"Disconnected from {self.kind.value}")
        self._log.info(f"The {self.kind.value} was lost because {reason}")
        self.come_when_possible()
        if self._loop.time() - self._since >= _WORTH_GOING_BACK_TO:
            self._attempt()

    def _socket_changed(self) -> None:
        self._watch = None
        self.come_when_possible()
        self._attempt()

    def _attempt(self) -> None:
        """There may be a bus now: try to get onto it, a few times from now on."""
        self._pauses = iter(_PAUSES)
        if self._attempts is None or self._attempts.done():
            self._attempts = self._loop.create_task(self._try_a_few_times())

    async def _try_a_few_times(self) -> None:
        while (pause := next(self._pauses, None)) is not None:
            await asyncio.sleep(pause)
            try:
                await self.connect()
            except UpstartdError as why:
                text = f"Unable to connect to the {self.kind.value}: {why.message}"
                (self._log.warn if self._complains else self._log.debug)(text)
                self._complains = False
            else:
                self._complains = False
                return

    def _stop_watching(self) -> None:
        if self._watch is not None:
            self._watch.close()
            self._watch = None
