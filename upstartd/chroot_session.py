"""Chroot sessions: callers whose root directory is another than the daemon's have jobs of their own.

Such a session is an engine of its own with the job files below its root: it sees, starts and stops nothing else, and
its events reach nothing else. Not responsible for who belongs to a session (bus/peer_root.py), nor for how
its processes get into its root (proc/setup.py). Source: runtime specification, 11.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from upstartd import root_directory
from upstartd.conf.disk import Disk
from upstartd.conf.reader import JobReader
from upstartd.engine import inputs
from upstartd.places import SYSTEM_JOBS

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping
    from typing import Any

    from upstartd.daemon import Daemon
    from upstartd.engine.core import Engine


class ChrootSession:
    """The jobs of callers whose root directory is `root`; bus/host.py is what their method calls see of it.

    `perform` is how the engine's effects are carried out, by their types.
    """

    def __init__(self, root: str, daemon: Daemon, engine: Engine, perform: Mapping[type, Callable[[Any], object]],
                 loop: asyncio.AbstractEventLoop) -> None:
        self.root = root
        self.daemon = daemon
        self.engine = engine
        self.log = daemon.log
        self.perform = perform
        self.reader = JobReader(
            (_job_directory(root),), take=partial(daemon.take_job_files, self), report=self.log.write, loop=loop,
            files=Disk(root),
        )  # fmt: skip

    def submit(self, what: inputs.Input) -> None:
        """Hand an input to the engine and carry out what follows, replies included."""
        self.daemon.submit_for(self, what)

    def load(self) -> None:
        """Read the job directory."""
        self.reader.load()

    def take_in_file_changes(self) -> None:
        """Read the job files whose changes the watches have already seen."""
        self.reader.take_in_changes()

    def reload_configuration(self, done: Callable[[], object]) -> None:
        """Read the job directory again, and then call `done`."""
        self.log.info("Reloading configuration")
        self.reader.reload(done)

    def describe(self) -> dict[str, object]:
        """The session as plain data, for GetState."""
        return {"chroot": self.root, "conf_sources": self.reader.sources.describe()}

    def close(self) -> None:
        """Forget the job directory."""
        self.reader.close()


def _job_directory(root: str) -> str:
    """Where the session's job files are."""
    try:
        return root_directory.resolve(root, SYSTEM_JOBS)
    except OSError:
        return root + SYSTEM_JOBS  # Reading it meets the same obstacle, and tells it.


def for_sessions(what: inputs.Input) -> inputs.Input | None:
    """What an input to the daemon's own engine is to those of the sessions; None where it does not concern them.

    That is the time, the end of the daemon, and its one table of variables for all jobs.
    """
    match what:
        case inputs.TimePassed():
            return what
        case inputs.EndInOrder():
            return replace(what, announced=False)  # nobody has told them
        case inputs.EndSession():
            return replace(what, caller=None)
        case (inputs.SetEnvironment(details=()) | inputs.UnsetEnvironment(details=())
              | inputs.ResetEnvironment(details=())):
            return replace(what, caller=None)
    return None
