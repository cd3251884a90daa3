"""A real upstartd in a scratch directory, as a context manager, and the clients that talk to it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from support.terminal import run_in_terminal
from support.waiting import LIMIT, wait_until
from upstartd.places import SYSTEM_SOCKET

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Self

    from support.dbus_daemon import DBusDaemon

PROGRAMS = Path(sys.executable).parent  # where this environment has upstartd and its clients
PLACES = ("init", "log", "home", "run", "cache", "config")


class Daemon:
    """`upstartd` with `arguments`, run below `scratch` and nowhere else.

    Below `scratch` there are `init` (job files; given as --confdir unless `confdir` is False), `log` (given as --logdir
    unless `logdir` is False), `home` (HOME), `run`, `cache`, `config` (XDG) and `upstartd.log`, what the daemon says.
    `prepare` are commands that are run before it, as root, to mount what it is to find in a mount namespace of its own.
    `through` is the beginning of a command that executes the rest of it: by that the daemon is started.
    On entering, the daemon is waited for until it can be called: a user's session by its session file, another by its
    name on `bus`, or by its private socket. On leaving it is told to end, and with it all that it has started.
    """

    def __init__(self, scratch: Path, *arguments: str, bus: DBusDaemon | None = None,
                 environ: Mapping[str, str] | None = None, confdir: bool = True, logdir: bool = True,
                 prepare: str = "", through: Sequence[str] = ()) -> None:
        self.scratch = scratch
        self.init = scratch / "init"
        self._user = "--user" in arguments
        self._session = "--session" in arguments
        self._bus = bus
        self._log = scratch / "upstartd.log"
        self.pass_files: tuple[int, ...] = ()  # descriptors that the daemon is to find open
        self._command = [str(PROGRAMS / "upstartd"), *(["--confdir", str(self.init)] if confdir else []),
                         *(["--logdir", str(scratch / "log")] if logdir else []), *arguments]
        self._command = [*through, *self._command]
        if prepare:
            self._command = ["unshare", "--mount", "sh", "-ec", f'{prepare}\nexec "$@"', "sh", *self._command]
        nobody = f"unix:path={scratch}/no-bus"  # so that no bus of this machine is ever spoken to
        self.environ = {
            "PATH": f"{PROGRAMS}:{os.environ.get('PATH', os.defpath)}", "LANG": "C.UTF-8", "TERM": "dumb",
            "HOME": f"{scratch}/home", "XDG_RUNTIME_DIR": f"{scratch}/run", "XDG_CACHE_HOME": f"{scratch}/cache",
            "XDG_CONFIG_HOME": f"{scratch}/config", "XDG_CONFIG_DIRS": f"{scratch}/config-dirs",
            "UPSTART_NO_SYSTEM_USERCONFDIR": "1",
            "DBUS_SESSION_BUS_ADDRESS": bus.address if bus and self._session else nobody,
            "DBUS_SYSTEM_BUS_ADDRESS": bus.address if bus and not self._session else nobody,
            **(environ or {}),
        }
        for place in PLACES:
            (scratch / place).mkdir(exist_ok=True)

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(self._command, env=self.environ, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=subprocess.STDOUT, start_new_session=True,
                                            pass_fds=self.pass_files)
        try:
            wait_until(self._can_be_called, "the daemon to be there")
        except BaseException:
            self.kill()
            raise
        if self._user:
            self.environ["UPSTART_SESSION"] = self._session_file().read_text().strip().partition("=")[2]
        return self

    def __exit__(self, kind: object, why: BaseException | None, where: object) -> None:
        try:
            # On a session bus SIGTERM does not end the daemon, and nothing else does in order.
            if self.process.poll() is None and not self._session:
                self.end()
        except subprocess.TimeoutExpired:
            if why is None:
                raise AssertionError(f"the daemon does not end: {self.log()}") from None
        finally:
            self.kill()

    def _session_file(self) -> Path:
        return self.scratch / "run" / "upstart" / "sessions" / f"{self.process.pid}.session"

    def _can_be_called(self) -> bool:
        assert self.process.poll() is None, f"the daemon ended with {self.process.returncode}: {self.log()}"
        if self._user:
            return self._session_file().exists() and self._session_file().read_text().endswith("\n")
        if self._bus is not None:
            return self._bus.has_name()
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex("\0" + SYSTEM_SOCKET) == 0

    def kill(self) -> None:
        """Kill what has not ended by itself: the daemon, and after it the processes that it has started."""
        if self.process.poll() is None:
            for pid in (self.process.pid, *descendants(self.process.pid)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.process.wait()

    def end(self) -> int:
        """Tell the daemon to end (SIGTERM), wait until it has, and give its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(LIMIT)

    def read(self, path: Path) -> bytes:
        """What a file has, as the daemon's mount namespace shows it; nothing where there is none."""
        try:
            return Path(f"/proc/{self.process.pid}/root{path}").read_bytes()
        except FileNotFoundError:
            return b""

    def log(self) -> str:
        """What the daemon has said so far."""
        return self._log.read_text(errors="replace")

    def write_job(self, name: str, text: str) -> Path:
        """Put a job file into the job directory."""
        path = self.init / f"{name}.conf"
        path.write_text(text)
        return path

    def try_run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a client and give how it ended and what it said."""
        return subprocess.run(command, env=self.environ, cwd=self.scratch, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=LIMIT, check=False)

    def run(self, *command: str) -> str:
        """Run a client that is to succeed without a complaint, and give its output."""
        done = self.try_run(*command)
        assert (done.returncode, done.stderr) == (0, ""), f"{command}: {done}\n{self.log()}"
        return done.stdout

    def run_in_terminal(self, *command: str) -> tuple[int, str]:
        """Run a client in a terminal: its exit status, and what stood there then."""
        return run_in_terminal(command, self.environ)


def after(change: str) -> tuple[str, ...]:
    """What to run a daemon `through` for it to begin with some Python, which changes what it is made of."""
    run = "import sys\nfrom upstartd.cli import main\ndel sys.argv[1]\nsys.exit(main())"
    return sys.executable, "-c", f"{change}\n{run}"


def descendants(pid: int) -> list[int]:
    """The processes below `pid`, by their parents in /proc."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            # The fields after the command, which is in parentheses and may hold any of them: state, parent.
            parent = int((entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[1])
        except OSError:
            continue  # It has ended meanwhile.
        children.setdefault(parent, []).append(int(entry.name))
    found: list[int] = []
    todo = [pid]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return found
