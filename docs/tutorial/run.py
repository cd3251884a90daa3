"""Play the tutorial: a daemon of one's own in a scratch directory, each command, and what it answers.

Needs upstartd and its clients beside the Python that runs this; no bus, no root, and nothing outside the scratch
directory is read or written. With a terminal it ends in a shell where `initctl` talks to that daemon.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).parent
PROGRAMS = Path(sys.executable).parent
PATIENCE = 20.0  # seconds
# Where the job files say that everything is, and the port they name: on copying, what is really so takes their place.
WRITTEN_PLACE, WRITTEN_PORT = "/srv/tutorial", "8124"
WRITTEN_SERVER = f"node {WRITTEN_PLACE}/server.js"

IN_A_TERMINAL = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"


class TutorialError(Exception):
    """A step did not go as the tutorial says."""


def free_port() -> int:
    """A TCP port that nobody listens on at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def server_command(place: Path | str) -> str:
    """What runs the web server that lies in `place`: node.js where it is installed, else Python."""
    return f"node {place}/server.js" if shutil.which("node") else f"python3 {place}/server.py"


def copy_job(name: str, directory: Path, place: Path, port: int) -> Path:
    """Copy a job file of the tutorial to `directory`, with all that it names in `place` and at `port`."""
    text = (HERE / f"{name}.conf").read_text()
    for written, real in ((WRITTEN_SERVER, server_command(place)), (WRITTEN_PLACE, str(place)),
                          (WRITTEN_PORT, str(port))):
        text = text.replace(written, real)
    copy = directory / f"{name}.conf"
    copy.write_text(text)
    return copy


def copy_programs(place: Path) -> None:
    """Copy what is no job file: the web server, and what asks it."""
    for name in ("server.js", "server.py", "fetch.py"):
        shutil.copy(HERE / name, place)


class Lesson:
    """One play of the tutorial, in the directory `place`."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.jobs = place / ".config" / "upstart"  # which the daemon makes
        self.port = free_port()
        self.environ = {
            "PATH": f"{PROGRAMS}:{os.environ.get('PATH', os.defpath)}",
            "LANG": os.environ.get("LANG", "C.UTF-8"), "TERM": os.environ.get("TERM", "dumb"),
            # Everything that the daemon looks for is in the scratch directory, or is not there.
            "HOME": str(place), "XDG_CONFIG_HOME": f"{place}/.config", "XDG_CACHE_HOME": f"{place}/.cache",
            "XDG_RUNTIME_DIR": f"{place}/run", "XDG_CONFIG_DIRS": f"{place}/etc", "UPSTART_NO_SYSTEM_USERCONFDIR": "1",
        }

    # -- what the reader sees --------------------------------------------------------------------

    def say(self, text: str) -> None:
        """Tell the reader something."""
        print(f"\n# {text}", flush=True)

    def show(self, name: str) -> None:
        """Copy a job file to its directory and show it."""
        copy_job(name, self.jobs, self.place, self.port)
        self.type(f"cat .config/upstart/{name}.conf")

    def type(self, command: str, *, status: int = 0, terminal: bool = False) -> None:
        """Print a command like a shell's prompt and run it, as if in a terminal where that is said.

        TutorialError where its exit status is another than `status`.
        """
        print(f"$ {command}", flush=True)
        if terminal and not sys.stdout.isatty():
            argv = [sys.executable, "-c", IN_A_TERMINAL, "/bin/sh", "-c", command]
        else:
            argv = ["/bin/sh", "-c", command]
        done = subprocess.run(argv, cwd=self.place, env=self.environ, stdin=subprocess.DEVNULL,
                              stderr=subprocess.STDOUT, check=False)
        if done.returncode != status:
            raise TutorialError(f"`{command}` ended with status {done.returncode}, not {status}")

    def wait_for_lines(self, file: str, count: int) -> None:
        """Wait until a file has so many lines: a job that has been started may not have written yet."""
        path = self.place / file
        self._wait(lambda: path.exists() and path.read_text().count("\n") >= count, f"{count} lines in {file}")

    def _wait(self, condition: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if self.daemon.poll() is not None:
                raise TutorialError(f"the daemon has ended: {(self.place / 'upstartd.log').read_text()}")
            if time.monotonic() > deadline:
                raise TutorialError(f"waited {PATIENCE:g} s in vain for {what}")
            time.sleep(0.02)

    # -- the daemon ------------------------------------------------------------------------------

    def start_daemon(self) -> None:
        """Start the daemon."""
        (self.place / "run").mkdir(mode=0o700)
        print("$ upstartd --user > upstartd.log 2>&1 &", flush=True)
        with (self.place / "upstartd.log").open("wb") as log:
            # In a session of its own: Ctrl-C in the terminal is not meant for it.
            self.daemon = subprocess.Popen([PROGRAMS / "upstartd", "--user"], env=self.environ, cwd=self.place,
                                           stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    def find_socket(self) -> None:
        """Wait until the daemon tells where its socket is."""
        session = self.place / "run" / "upstart" / "sessions" / f"{self.daemon.pid}.session"
        self._wait(lambda: session.exists() and session.read_text().endswith("\n"), "the daemon's socket")
        self.environ["UPSTART_SESSION"] = session.read_text().strip().partition("=")[2]
        print(f"$ export {session.read_text().strip()}", flush=True)

    def end_daemon(self) -> None:
        """Tell the daemon to stop its jobs and end, and wait for that."""
        if self.daemon.poll() is None:
            print(f"$ kill {self.daemon.pid}", flush=True)
            self.daemon.send_signal(signal.SIGTERM)
        try:
            status = self.daemon.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.daemon.kill()
            self.daemon.wait()
            raise TutorialError("the daemon does not end") from None
        self.say(f"The daemon has ended, with status {status}.")
        if status:
            raise TutorialError((self.place / "upstartd.log").read_text())

    # -- the lessons -----------------------------------------------------------------------------

    def play(self) -> None:
        """All lessons, in order."""
        self.first_job()
        self.service()
        self.mistake()
        self.looking_closer()

    def first_job(self) -> None:
        """A job that writes a line."""
        self.say("A first job: it writes a line into a file whenever the machine enters a runlevel for users.")
        self.show("testjob")
        self.type("init-checkconf .config/upstart/testjob.conf")
        self.say("It can be started by hand,")
        self.type("service --user testjob start")
        self.wait_for_lines("testjob.log", 1)
        self.type("cat testjob.log")
        self.say("or by the event that it waits for.")
        self.type("initctl emit runlevel RUNLEVEL=2")
        self.wait_for_lines("testjob.log", 2)
        self.type("cat testjob.log")

    def service(self) -> None:
        """A web server."""
        self.say("A service: a web server, with something to do before it starts and before it stops.")
        if not shutil.which("node"):
            self.say("node.js is not installed here, so Python's own web server stands in for it.")
        self.show("nodetest")
        self.type("init-checkconf .config/upstart/nodetest.conf")
        self.type("service --user nodetest start")
        fetch = f"python3 fetch.py http://127.0.0.1:{self.port}/"
        self.type(fetch)
        self.type("cat nodetest.pid")
        self.type("service --user nodetest restart")
        self.type(fetch)
        self.type("service --user nodetest status")
        self.type("service --user nodetest stop")
        self.type("cat nodetest.log")
        self.type("initctl list")

    def mistake(self) -> None:
        """A job file that is wrong."""
        self.say("A mistake in a job file: init-checkconf and the daemon's log name the line, and so does `start'.")
        self.show("broken")
        self.type("init-checkconf .config/upstart/broken.conf", status=1)
        self.type("start broken", status=1, terminal=True)
        self.type("cat upstartd.log")

    def looking_closer(self) -> None:
        """The daemon's log."""
        self.say("A task, and how to look closer: with another priority the daemon's log has every step.")
        self.show("hello")
        self.type("initctl log-priority debug")
        self.type("initctl emit greet WHO=world")
        self.type("initctl log-priority message")
        self.type("cat hello.log")
        self.type("grep 'hello .*changed' upstartd.log")

    def leave_to_user(self) -> None:
        """Give the user a shell that talks to the daemon, until that shell ends."""
        self.say("Now it is yours: job files go into ~/.config/upstart, `initctl help' lists the commands, `exit' ends "
                 "all this.")
        with subprocess.Popen([os.environ.get("SHELL", "/bin/sh"), "-i"], cwd=self.place, env=self.environ) as shell:
            before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the shell's, not ours
            shell.wait()
            signal.signal(signal.SIGINT, before)


def main() -> int:
    """Play it, and give the exit status."""
    with tempfile.TemporaryDirectory(prefix="upstartd-tutorial-") as place:
        lesson = Lesson(Path(place))
        copy_programs(lesson.place)
        print(f"$ cd {place}", flush=True)
        try:
            lesson.start_daemon()
            try:
                lesson.find_socket()
                lesson.play()
                if sys.stdin.isatty() and sys.stdout.isatty():
                    lesson.leave_to_user()
            finally:
                lesson.end_daemon()
        except TutorialError as error:
            print(f"The tutorial went wrong: {error}", file=sys.stderr)
            return 1
        return 0


if __name__ == "__main__":
    sys.exit(main())
