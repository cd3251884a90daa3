"""A small machine or container of its own: upstartd as process 1 of new namespaces, in a copy of this machine's files.

What it writes goes to memory: what is in /srv until the test is over, everything else until its end. No device of
this machine is in it, but those that are the same everywhere. It needs root and an overlay file system.
"""

from __future__ import annotations

import contextlib
import os
import pty
import select
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest

from support.daemon import PROGRAMS, descendants
from support.waiting import LIMIT, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")

ROOT = Path(__file__).parents[2]
BASE_JOBS = ROOT / "packaging" / "init"
CLIENTS = ("initctl", "start", "stop", "restart", "reload", "status", "service", "runlevel", "telinit", "shutdown",
           "reboot", "halt", "poweroff")
# What of this machine's would have an effect outside the new namespaces, or make a difference to what a test finds.
LEFT_OUT = (
    ".dockerenv", "etc/fstab", "etc/init", "etc/init.d", "etc/inittab", "etc/network", "etc/powerstatus",
    "var/log/upstart", "run", "srv", "usr/sbin/ifup", "sbin/ifup", "usr/sbin/getty", "sbin/getty", "usr/sbin/swapon",
    "sbin/swapon", "usr/bin/udevadm", "usr/sbin/udevadm", "sbin/udevadm", "usr/sbin/sulogin", "sbin/sulogin",
    "lib/systemd/systemd-udevd", "usr/lib/systemd/systemd-udevd", "sbin/udevd", "usr/sbin/hwclock", "sbin/hwclock",
)
FLAGS = ("--fork", "--kill-child", "--pid", "--mount", "--net", "--uts", "--ipc", "--cgroup")

# What holds the machine's disk: a mount namespace with a file system in memory.
HOLD = r"""
set -eu
mount -t tmpfs tmpfs "$1"
cd "$1"
mkdir none srv
: > kmsg
cp -a "$2" files
echo ready
exec sleep infinity
"""

# Run as process 1 of the new namespaces: $1 is where the disk is, $2 the pid namespace outside, $3 the console, $4
# `machine`, `read-only`, `container` or `bare`; then follows what becomes process 1. It goes on only in a namespace of
# its own. Nothing of the file systems outside is mounted in the end, except below overlays, so that nothing that
# process 1 does to a mount reaches them.
SET_UP = r"""
set -eu
disk=$1 outside=$2 console=$3 kind=$4
shift 4
[ $$ = 1 ] && [ "$(readlink /proc/self/ns/pid)" != "$outside" ] || exit 99
cd "$disk"
rm -rf upper work root
mkdir upper work root
mount -t overlay -o lowerdir=/,upperdir=upper,workdir=work overlay root || exit 98
cd root
for name in $LEFT_OUT; do rm -rf "$name"; done
mkdir -p dev proc sys run srv etc/init old usr/local/sbin var/log/upstart
cp -a "$disk/files/." .
for client in $CLIENTS; do ln -sf "$PROGRAMS/$client" usr/local/sbin/; done
for path in $NEEDED; do
    [ -e ".$path/." ] || { mkdir -p ".$path"; mount -t overlay -o "lowerdir=$path:$disk/none" overlay ".$path"; }
done
mount --bind "$disk/srv" srv
mount -t tmpfs -o mode=755 tmpfs dev
mkdir dev/pts dev/shm
mknod -m 666 dev/null c 1 3
mknod -m 666 dev/zero c 1 5
mknod -m 666 dev/urandom c 1 9
mknod -m 666 dev/tty c 5 0
mknod -m 666 dev/ptmx c 5 2
ln -s /proc/self/fd dev/fd
case $kind in
    container)
        mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
        mount -t sysfs -o ro sysfs sys;;
    bare)
        rm dev/tty;;
    *)
        touch dev/kmsg dev/console
        mount --bind "$disk/kmsg" dev/kmsg
        mount --bind "$console" dev/console;;
esac
pivot_root . old
mount -t proc proc /proc
umount -l /old
case $kind in
    machine|bare) umount /proc;;
    read-only) mount -o remount,ro /; umount /proc;;
esac
exec "$@"
"""


class Machine:
    """A machine. Its `kind` is also `read-only`: it has its root file system as a kernel mounts it; or `container`: its
    runtime has mounted what belongs there, and says so in the variable `container`; or `bare`: it has only said so.

    `jobs` are job files by name, beside the base set; `files` are more files, by their paths. `command` goes before
    the daemon, to take rights from it, say; `program` is how that is started. boot() starts it, as often as one likes;
    on leaving, what still runs in it is killed.
    """

    def __init__(self, scratch: Path, kind: str = "machine", *, base: bool = True,
                 jobs: Mapping[str, str] | None = None, files: Mapping[str, str] | None = None,
                 command: tuple[str, ...] = (), program: tuple[str, ...] = (str(PROGRAMS / "upstartd"),)) -> None:
        self._kind = kind
        self._command = command
        self._program = program
        self._environ = {"PATH": "/usr/bin:/bin", "TERM": "linux"}
        if kind in ("container", "bare"):
            self._environ["container"] = "test"
        self._place = scratch / "disk"
        self._files = scratch / "files"
        self._output = scratch / "output"
        self._output.write_text("")
        self._shown = b""
        self.process: subprocess.Popen[bytes] | None = None
        self._place.mkdir()
        (self._files / "etc/init").mkdir(parents=True)
        own = {job.stem: job.read_text() for job in BASE_JOBS.glob("*.conf")} if base else {}
        for name, text in {**own, **(jobs or {})}.items():
            self._write(f"etc/init/{name}.conf", text)
        for path, text in (files or {}).items():
            self._write(path, text)

    def _write(self, path: str, text: str) -> None:
        file = self._files / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o755 if text.startswith("#!") else 0o644)

    # -- from the start to the end ------------------------------------------------------------------------------

    def __enter__(self) -> Machine:
        if os.geteuid() != 0:
            pytest.skip("namespaces need root")
        self._screen, self._console = pty.openpty()
        with self._output.open("ab") as output:
            self._holder = subprocess.Popen(
                ["unshare", "--mount", "/bin/sh", "-c", HOLD, "hold", str(self._place), str(self._files)],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=output, start_new_session=True,
            )  # fmt: skip
        assert self._holder.stdout is not None
        with self._holder.stdout as answer:
            if answer.readline() != b"ready\n":
                self.__exit__()
                pytest.skip(f"no mount namespace: {self.output()}")
        self.disk = Path(f"/proc/{self._holder.pid}/root{self._place}")
        return self

    def boot(self, *arguments: str) -> None:
        """Start upstartd with these arguments, and wait until it is process 1."""
        environ = {"LEFT_OUT": " ".join(LEFT_OUT), "CLIENTS": " ".join(CLIENTS), "PROGRAMS": str(PROGRAMS),
                   "NEEDED": f"{ROOT} {sys.prefix} {sys.base_prefix}", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
        given = [f"{name}={value}" for name, value in self._environ.items()]
        with self._output.open("ab") as output:
            self.process = subprocess.Popen(
                ["nsenter", f"--mount=/proc/{self._holder.pid}/ns/mnt", "unshare", *FLAGS, "/bin/sh", "-c", SET_UP,
                 "set-up", str(self._place), os.readlink("/proc/self/ns/pid"), os.ttyname(self._console), self._kind,
                 *self._command, "/usr/bin/env", "-i", *given, *self._program, *arguments],
                env=environ, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
        self.pid = wait_until(self._first, "process 1")

    def _first(self) -> int | None:
        """The number that process 1 has outside, once it is the daemon and has prepared itself."""
        assert self.process is not None
        if self.process.poll() == 98 or (self.process.poll() == 1 and "unshare: " in self.output()):
            pytest.skip(f"no namespaces, or no overlay file system: {self.output()}")
        assert self.process.poll() is None, self.output()
        for pid in descendants(self.process.pid)[:1]:
            with contextlib.suppress(OSError):
                # Without /proc it keeps the name that it was executed by.
                if Path(f"/proc/{pid}/comm").read_text() == ("upstartd\n" if self._kind == "bare" else "init\n"):
                    return pid
        return None

    def wait(self) -> int:
        """Wait for the end, and give its status as subprocess does."""
        assert self.process is not None
        return self.process.wait(3 * LIMIT)

    def __exit__(self, *why: object) -> None:
        for process in (self.process, self._holder):
            if process is not None:
                process.kill()  # --kill-child has process 1 go with it, and everything in its namespace with that
                process.wait()
        for descriptor in (self._screen, self._console):
            os.close(descriptor)

    # -- from outside -------------------------------------------------------------------------------------------

    def signal(self, number: int) -> None:
        """Send process 1 a signal."""
        os.kill(self.pid, number)

    def output(self) -> str:
        """What process 1 has said on its standard descriptors: what is a container's log."""
        return self._output.read_text(errors="replace")

    def kernel_log(self) -> str:
        """What the kernel's log has."""
        return (self.disk / "kmsg").read_text(errors="replace")

    def type(self, line: str) -> None:
        """Type a line at the console."""
        os.write(self._screen, f"{line}\n".encode())

    def screen(self) -> str:
        """What the console has shown so far."""
        while select.select([self._screen], [], [], 0)[0]:
            self._shown += os.read(self._screen, 4096)
        return self._shown.decode(errors="replace").replace("\r\n", "\n")

    def lines(self, path: str) -> list[str]:
        """The lines of a file in /srv, which outlasts a restart; none where it is not there."""
        file = self.disk / "srv" / path
        return file.read_text(errors="replace").splitlines() if file.exists() else []

    # -- inside -------------------------------------------------------------------------------------------------

    def try_run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a program inside, and give how it ended and what it said."""
        enter = ["nsenter", "--target", str(self.pid), "--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wd"]
        return subprocess.run([*enter, *command], env={"PATH": "/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"},
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT, check=False)

    def run(self, *command: str) -> str:
        """Run a program that is to succeed, and give its output."""
        done = self.try_run(*command)
        assert (done.returncode, done.stderr) == (0, ""), f"{command}: {done}"
        return done.stdout

    def wait_for(self, condition: Callable[[], T | None], what: str) -> T:
        """Wait until something is true, as long as the machine runs, and give it."""
        def look() -> T | None:
            assert self.process is not None
            assert self.process.poll() is None, f"it has ended: {self._said()}"
            return condition()

        try:
            return wait_until(look, what)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self._said()}") from None

    def _said(self) -> str:
        return f"{self.output()}\n{self.kernel_log()}\n{self.screen()}"

    def wait_for_job(self, job: str, status: str) -> None:
        """Wait until the status of a job begins with that."""
        self.wait_for(lambda: self.try_run("initctl", "status", job).stdout.startswith(f"{job} {status}"),
                      f"{job} {status}")
