"""The bus side of the daemon, as daemon.py uses it: every way in, and every announcement out.

Not responsible for anything but putting the parts of this package together.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from upstartd.bus.announcements import Restarted, signal_of
from upstartd.bus.bus_keeper import BusKeeper
from upstartd.bus.calls import Call
from upstartd.bus.dispatch import Dispatcher
from upstartd.bus.listener import PrivateListener
from upstartd.bus.objects import instance_path
from upstartd.engine.effects import InstanceRef, Reply
from upstartd.errors import LimitsExceeded

if TYPE_CHECKING:
    from upstartd.bus.bus_keeper import BusKind
    from upstartd.bus.connections import Connection
    from upstartd.bus.host import DaemonHost
    from upstartd.bus.wire import Message
    from upstartd.engine.effects import Announcement, ReplyError, UpdateActivationEnvironment


class BusService:
    """Serves `daemon` on its own socket and on a message bus, or on either, or on neither. Needs a running loop."""

    def __init__(self, daemon: DaemonHost) -> None:
        self._daemon = daemon
        self._log = daemon.log
        self._loop = asyncio.get_running_loop()
        self._dispatcher = Dispatcher(daemon)
        self._listener: PrivateListener | None = None
        self._keeper: BusKeeper | None = None
        self._one_at_a_time = asyncio.Lock()
        self._connections: dict[Connection, None] = {}  # those that signals go to, in the order they came

    # -- ways in ----------------------------------------------------------------------------------------------

    def listen_private(self, name: str, allowed_uids: frozenset[int], *, chroot_sessions: bool = False) -> None:
        """Listen on the abstract socket `name` for these users. Raises OSError where it cannot be had.

        With `chroot_sessions` clients in another root directory are told apart.
        """
        find_root = None
        if chroot_sessions:
            from upstartd.bus import peer_root  # nobody else needs it

            find_root = peer_root.find
        self._listener = PrivateListener(self._loop, name, allowed_uids, self, self._log, find_root)

    async def connect_bus(self, address: str, kind: BusKind, *, keep_trying: bool = False) -> None:
        """Get onto the bus at `address`; do nothing if the daemon is on a bus already.

        Raises UpstartdError where that does not work now. With `keep_trying` the daemon gets there nevertheless
        as soon as the bus's socket appears; a bus that was reached and is lost is always come back to.
        """
        async with self._one_at_a_time:
            if self.is_on_bus:
                return
            keeper = BusKeeper(address, kind, self._dispatcher, self._log, self._attach, self._detach)
            if keep_trying:
                self._replace_keeper(keeper)
                keeper.come_when_possible()
            await keeper.connect()
            self._replace_keeper(keeper)

    def reconnect(self) -> None:
        """Get onto the bus that the daemon was on, or was to be on, if it is not there (SIGUSR1)."""
        if self._keeper is not None:
            self._keeper.reconnect()

    @property
    def is_on_bus(self) -> bool:
        """Whether the daemon has its name on a bus."""
        return self._keeper is not None and self._keeper.bus is not None

    @property
    def bus_address(self) -> str | None:
        """The bus that the daemon is on, or comes back to."""
        return self._keeper.address if self._keeper is not None else None

    # -- what comes out of the engine -------------------------------------------------------------------------

    def announce(self, announcement: Announcement, root: str = "") -> None:
        """Send the signal to everybody whose session this is about: the one with that root directory."""
        self._send_signal(announcement, root, [one for one in self._connections if one.root == root])

    def announce_restart(self) -> None:
        """Tell everybody that the daemon is back after executing itself anew."""
        self._send_signal(Restarted(), "", list(self._connections))

    def _send_signal(self, announcement: Announcement | Restarted, root: str, receivers: list[Connection]) -> None:
        if not receivers:
            return
        try:
            signal = signal_of(announcement, root)
        except LimitsExceeded as why:
            self._log.warn(f"cannot announce {type(announcement).__name__}: {why.message}")
            return
        for connection in receivers:
            connection.send(signal)

    def has_clients(self, root: str) -> bool:
        """Whether there are private clients with that root directory."""
        return any(connection.root == root for connection in self._connections)

    @staticmethod
    def answer(effect: Reply | ReplyError) -> None:
        """Answer the method call that the engine has an answer for."""
        call = effect.caller
        assert isinstance(call, Call), "only method calls are answered"
        if not isinstance(effect, Reply):
            call.error(effect.error)
        elif isinstance(effect.value, InstanceRef):
            call.reply(instance_path(effect.value.job, effect.value.instance, call.root))
        else:
            call.reply(effect.value)

    def update_activation_environment(self, effect: UpdateActivationEnvironment) -> None:
        """Have the bus give these variables to what it starts. Where there is no bus, nothing is done."""
        if self._keeper is None or self._keeper.bus is None:
            return
        answer = self._keeper.bus.ask("UpdateActivationEnvironment", "a{ss}", [dict(effect.variables)])
        answer.add_done_callback(self._log_failed_update)

    def _log_failed_update(self, answer: asyncio.Future[list[object]]) -> None:
        if not answer.cancelled() and (why := answer.exception()) is not None:
            self._log.warn(f"cannot update the activation environment of the bus: {why}")

    # -- the end ----------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Send what is still to be sent, as far as that works at once. For right before the daemon executes itself."""
        for connection in list(self._connections):
            connection.flush()

    def close(self) -> None:
        """Send what can be sent at once, and end every connection."""
        self._dispatcher.close()
        if self._keeper is not None:
            self._keeper.close()
            self._keeper = None
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        self._connections.clear()

    # -- what connections tell --------------------------------------------------------------------------------

    def opened(self, connection: Connection) -> None:
        """A private client has been let in."""
        self._log.info("Connection from private client")
        self._attach(connection)

    def received(self, connection: Connection, message: Message) -> None:
        """A private client has sent a message."""
        self._dispatcher.handle(connection, message, connection.uid)

    def closed(self, connection: Connection, reason: str, ours: bool) -> None:
        """A private client has gone, or has been dropped."""
        self._detach(connection)
        if ours:
            self._log.warn(f"Private client dropped: {reason}")
        if connection.root:
            self._daemon.client_left(connection.root)

    def _attach(self, connection: Connection) -> None:
        self._connections[connection] = None

    def _detach(self, connection: Connection) -> None:
        self._connections.pop(connection, None)

    def _replace_keeper(self, keeper: BusKeeper) -> None:
        if self._keeper is not None and self._keeper is not keeper:
            self._keeper.close()
        self._keeper = keeper
