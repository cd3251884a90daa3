"""What the bus side asks of the rest of the daemon: the one interface between them.

daemon.py and chroot_session.py implement it; tests of the bus bring their own. Nothing in `upstartd/bus/` imports the
daemon.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from upstartd.engine.core import Engine
    from upstartd.engine.inputs import Input
    from upstartd.log import Log


class Host(Protocol):
    """Jobs that belong together, as a method call sees them: the daemon's own, or those of a chroot session."""

    root: str  # the root directory of the chroot session; "" for the daemon's own
    engine: Engine  # to be read; it is changed only by submit()
    log: Log

    @property
    def daemon(self) -> DaemonHost:
        """The daemon that these are jobs of."""

    def submit(self, what: Input) -> None:
        """Hand an input to the engine and carry out what follows, replies included."""

    def take_in_file_changes(self) -> None:
        """Read the job files whose changes the watches have already seen (design, 33)."""

    def reload_configuration(self, done: Callable[[], object]) -> None:
        """Read every job directory again, and then call `done`. Others are answered meanwhile."""


class DaemonHost(Host, Protocol):
    """The daemon with its own jobs."""

    is_pid_1: bool
    only_root_may_change: bool  # a system instance that runs as root and not in user mode

    def enter_session(self, root: str) -> Host:
        """The jobs of callers whose root directory is `root`, which are read now if this is the first call from
        there; the daemon's own where `root` is empty."""

    def session(self, root: str) -> Host | None:
        """The same if it is there already, whoever asks."""

    def client_left(self, root: str) -> None:
        """A private client whose root directory is `root`, which is not empty, has gone."""

    def state_as_json(self) -> str:
        """The daemon's whole state, for GetState."""

    def restart(self) -> None:
        """Execute the daemon anew; the caller is never answered."""

    def disk_is_writeable(self) -> None:
        """Write out the job output that was held; OperationFailed where that does not work."""

    async def notify_dbus_address(self, address: str) -> None:
        """Connect to that bus and take the name there; an UpstartdError where that does not work."""
