"""python-dbusmock with our template: a daemon that is as odd as a test wants it, on a private bus.

The mock runs in the system's own Python, for which Debian packages it (python3-dbusmock), and away from this tree: at
its root, `import dbus` would find the folder with our interfaces.
"""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jeepney import DBusAddress, MessageType, new_method_call
from jeepney.io.blocking import open_dbus_connection

from support.daemon import PROGRAMS
from support.waiting import LIMIT, wait_until

if TYPE_CHECKING:
    from support.dbus_daemon import DBusDaemon

PYTHON = "/usr/bin/python3"
TEMPLATE = Path(__file__).parents[2] / "packaging" / "dbusmock" / "upstart.py"
_MAIN = DBusAddress("/com/ubuntu/Upstart", "com.ubuntu.Upstart", "org.freedesktop.DBus.Mock")


@functools.cache
def why_no_mock() -> str:
    """Why there is none; empty where there is."""
    if not Path(PYTHON).exists():
        return f"there is no {PYTHON}"
    found = subprocess.run([PYTHON, "-c", "import dbusmock, dbus.service"], cwd="/", capture_output=True, check=False)
    return "python3-dbusmock is not installed" if found.returncode else ""


class MockUpstart:
    """A context manager: a mock on `bus`, with its log in `directory`. `system`: that is the system bus to clients.

    `parameters` are those of the template. The test is skipped where there is no python-dbusmock.
    """

    def __init__(self, bus: DBusDaemon, directory: Path, *, system: bool = False, **parameters: Any) -> None:
        self._bus = bus
        self._log = directory / "mock.log"
        self._directory = directory
        self._which = "system" if system else "session"
        self._parameters = parameters
        nobody = f"unix:path={directory}/no-bus"
        self.environ = {"PATH": f"{PROGRAMS}:{os.environ.get('PATH', os.defpath)}", "LANG": "C.UTF-8", "TERM": "dumb",
                        "DBUS_SESSION_BUS_ADDRESS": nobody, "DBUS_SYSTEM_BUS_ADDRESS": nobody,
                        f"DBUS_{self._which.upper()}_BUS_ADDRESS": bus.address}

    def __enter__(self) -> MockUpstart:
        if why := why_no_mock():
            pytest.skip(why)
        self.process = subprocess.Popen(
            [PYTHON, "-m", "dbusmock", f"--{self._which}", "--template", str(TEMPLATE), "--logfile", str(self._log),
             "--parameters", json.dumps(self._parameters)], cwd=self._directory, env=self.environ,
            stdin=subprocess.DEVNULL)
        try:
            wait_until(self._can_be_called, "the mock to be there")
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def kill(self) -> None:
        """End the mock, if it has not ended."""
        self.process.kill()
        self.process.wait()

    def _can_be_called(self) -> bool:
        assert self.process.poll() is None, "the mock has ended"
        # It has its name before it has its methods.
        return self._bus.has_name() and "GetAllJobs" in self.introspect("/com/ubuntu/Upstart")

    def introspect(self, path: str) -> str:
        """What an object says of itself; empty where it is not there."""
        address = DBusAddress(path, "com.ubuntu.Upstart", "org.freedesktop.DBus.Introspectable")
        with open_dbus_connection(self._bus.address) as connection:
            reply = connection.send_and_get_reply(new_method_call(address, "Introspect"), timeout=LIMIT)
        return str(reply.body[0]) if reply.header.message_type is MessageType.method_return else ""

    def call(self, member: str, signature: str = "", *arguments: Any) -> Any:
        """Call a method of the mock's own; gives the value it returns, None if it returns none."""
        with open_dbus_connection(self._bus.address) as connection:
            reply = connection.send_and_get_reply(
                new_method_call(_MAIN, member, signature or None, arguments), timeout=LIMIT)
        assert reply.header.message_type is MessageType.method_return, reply.body
        return reply.body[0] if reply.body else None

    def add_job(self, name: str, **parameters: tuple[str, Any]) -> str:
        """AddJob; each parameter is its type and its value."""
        return str(self.call("AddJob", "sa{sv}", name, parameters))

    def add_instance(self, job: str, name: str = "", goal: str = "start", state: str = "running",
                     *processes: tuple[str, int]) -> str:
        """AddInstance."""
        return str(self.call("AddInstance", "ssssa(si)", job, name, goal, state, list(processes)))

    def fail(self, method: str, error: str, message: str) -> None:
        """FailMethod."""
        self.call("FailMethod", "sss", method, error, message)

    def delay(self, method: str, seconds: float) -> None:
        """DelayMethod."""
        self.call("DelayMethod", "sd", method, seconds)

    def wait_until_called(self, member: str) -> None:
        """Wait until a method has been called, also while the mock is busy with it."""
        wait_until(lambda: re.search(rf"^\S+ {member}\b", self.log(), flags=re.MULTILINE), f"a call of {member}")

    def log(self) -> str:
        """What the mock was asked, a line for each call."""
        return self._log.read_text()

    def _command(self, words: tuple[str, ...]) -> list[str]:
        return [words[0], f"--{self._which}", *words[1:]]

    def run(self, *words: str) -> tuple[int, str, str]:
        """Run `initctl`, or one of its links: its exit code, what it printed, what it complained of."""
        done = subprocess.run(self._command(words), env=self.environ, cwd=self._directory, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=LIMIT, check=False)
        return done.returncode, done.stdout, done.stderr

    def begin(self, *words: str) -> subprocess.Popen[str]:
        """Begin to run one."""
        return subprocess.Popen(self._command(words), env=self.environ, cwd=self._directory, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
