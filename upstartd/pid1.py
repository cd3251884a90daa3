"""What only process 1 does: making a bare kernel a place where jobs can run, and ending the machine.

`prepare()` comes before all else, `started()` when the daemon can be called, `end()` when every job has stopped. In
a container what is there is its runtime's business: less is done, what cannot be done is said once, and
the end is the end of the process. What turns the event `startup` into a running system are jobs, those of
packaging/init. Not responsible for signals (daemon.py). Source: runtime specification, sections 2 and 4.
"""

from __future__ import annotations

import contextlib
import os
import signal
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from upstartd import container
from upstartd.descriptors import STANDARD, fill_standard, use_as
from upstartd.log import Priority
from upstartd.machine import MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY, MS_REMOUNT, Reboot

if TYPE_CHECKING:
    from collections.abc import Callable

    from upstartd.log import Log
    from upstartd.machine import Machine

PATH = "/usr/local/sbin:/usr/local/bin:/usr/bin:/usr/sbin:/sbin:/bin"

# Seconds that processes which are no job's get to end, and the kernel to put a file system away.
TIME_TO_END = 5.0
TIME_TO_UNMOUNT = 20.0

_NAME = "init"
# What is not unmounted at the end: what the end itself needs, and what holds nothing.
_KEPT = ("/", "/proc", "/sys", "/dev")
_BELOW_KEPT = ("/proc/", "/sys/", "/dev/")


class _FileSystem(NamedTuple):
    """A file system that the kernel makes up, and where it belongs."""

    target: str
    type: str
    flags: int
    data: str = ""


class _Device(NamedTuple):
    """A device node, as mknod(1) takes them."""

    path: str
    mode: int
    major: int
    minor: int
    in_container: bool  # whether a container gets it; what the machine's console is, is none of its business


_DEV = _FileSystem("/dev", "devtmpfs", MS_NOSUID | MS_NOEXEC)
_PTS = _FileSystem("/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "gid=5,mode=0620")
_KERNEL_S = (
    _FileSystem("/proc", "proc", MS_NODEV | MS_NOEXEC | MS_NOSUID),
    _FileSystem("/sys", "sysfs", MS_NODEV | MS_NOEXEC | MS_NOSUID),
)
_PTMX = _Device("/dev/ptmx", 0o666, 5, 2, in_container=True)
_DEVICES = (
    _Device("/dev/null", 0o666, 1, 3, in_container=True),
    _Device("/dev/tty", 0o666, 5, 0, in_container=True),
    _Device("/dev/console", 0o600, 5, 1, in_container=False),
    _Device("/dev/kmsg", 0o644, 1, 11, in_container=False),
)


class WayDown(NamedTuple):
    """How a signal ends the machine.

    `announced` is whether the jobs have been told by a `runlevel` event, as the base set of jobs does; otherwise
    they are now, and can only stop.
    """

    reboot: Reboot
    runlevel: str
    announced: bool


# As systemd(1) has them: the first three ask for a shutdown, the others for the end that comes after it.
WAYS_DOWN = {
    signal.SIGRTMIN + 3: WayDown(Reboot.HALT, "0", announced=False),
    signal.SIGRTMIN + 4: WayDown(Reboot.POWER_OFF, "0", announced=False),
    signal.SIGRTMIN + 5: WayDown(Reboot.RESTART, "6", announced=False),
    signal.SIGRTMIN + 13: WayDown(Reboot.HALT, "0", announced=True),
    signal.SIGRTMIN + 14: WayDown(Reboot.POWER_OFF, "0", announced=True),
    signal.SIGRTMIN + 15: WayDown(Reboot.RESTART, "6", announced=True),
}
# What TERM asks for in a container, whose runtime sends it.
CONTAINER_S_END = WayDown(Reboot.HALT, "0", announced=False)


class Pid1:
    """Process 1: of the machine, or of a container, whose kind `container` is then (None: it is none)."""

    def __init__(self, machine: Machine, log: Log, container: str | None) -> None:
        self._machine = machine
        self._log = log
        self.container = container
        self.way_down: WayDown | None = None  # once the end has been asked for
        self.has_keyboard = False  # whether SIGWINCH is a keyboard's request, and not news of a terminal's size
        self._failures: list[tuple[str, str]] = []
        self._has_left_console = False

    # -- the start ------------------------------------------------------------------------------------------

    def prepare(self, program: str, *, restarted: bool) -> None:
        """Make this a place where jobs can run; what cannot be done is said and passed over.

        `program` is what this process was started as: its command line shows nothing else from now on. `restarted`
        is whether it was executed anew.
        """
        machine = self._machine
        self._try("become session leader", machine.new_session)
        machine.umask(0)
        self._make_devices()
        if self.container is None:
            self._take_console(restarted=restarted)
        else:
            self._fill_standard_descriptors()
        self._try("change directory to /", machine.chdir, "/")
        for one in _KERNEL_S:
            self._mount(one)
        if self.container is None:
            self._try("disable Ctrl-Alt-Delete", machine.disable_ctrl_alt_delete)
            self._accept_keyboard_requests()
        self._try("hide the command line", machine.rename, _NAME, program)
        self._tell_failures()

    def environment(self) -> dict[str, str]:
        """The variables that process 1 sets for itself: its PATH, and whether this is a container.

        The latter is for jobs that say `env container`: not every runtime tells it in this way.
        """
        return {"PATH": PATH} | ({container.VARIABLE: self.container} if self.container is not None else {})

    def started(self) -> None:
        """The daemon can be called: the console is the jobs' now, and what the daemon says goes to the kernel's log.

        Not in a container, where it is what the container's log has.
        """
        if self.container is not None or self._has_left_console:
            return
        try:
            self._log.use_kernel_log(self._machine.open("/dev/kmsg", os.O_WRONLY | os.O_APPEND))
        except OSError as error:
            self._log.warn(f"Unable to open /dev/kmsg: {error.strerror}")
            return
        self._has_left_console = True
        self._try("open /dev/null", use_as, self._machine, "/dev/null", STANDARD)
        self._tell_failures()

    def _try(self, what: str, do: Callable[..., object], *arguments: object) -> bool:
        """Do something that may fail; whether it worked."""
        try:
            do(*arguments)
        except OSError as error:
            # Said later, as there may be nowhere to say it yet.
            self._failures.append((what, error.strerror or str(error)))
            return False
        return True

    def _tell_failures(self) -> None:
        if self.container is None:
            for what, why in self._failures:
                self._log.warn(f"Unable to {what}: {why}")
        elif self._failures:
            left_out = ", ".join(f"{what} ({why})" for what, why in self._failures)
            self._log.write(Priority.MESSAGE, f"Not possible in this container, and left out: {left_out}")
        self._failures.clear()

    def _mount(self, one: _FileSystem) -> None:
        if not self._machine.is_mount_point(one.target):
            self._try(f"mount {one.target} filesystem", self._machine.mount, one.type, *one)

    def _make_devices(self) -> None:
        machine = self._machine
        if not (machine.exists(_PTMX.path) and machine.exists(_PTS.target)):
            self._mount(_DEV)
            self._make_device(_PTMX)
            if not machine.exists(_PTS.target):
                self._try(f"create {_PTS.target}", machine.make_directory, _PTS.target, 0o755)
        self._mount(_PTS)
        for device in _DEVICES:
            if self.container is None or device.in_container:
                self._make_device(device)

    def _make_device(self, device: _Device) -> None:
        if not self._machine.exists(device.path):
            self._try(f"create {device.path}", self._machine.make_device, *device[:4])

    def _take_console(self, *, restarted: bool) -> None:
        """Say what is to be said on the console; a daemon that was executed anew has left it already."""
        has_console = self._try("open /dev/console", self._open_console)
        if restarted:
            self.started()
        elif has_console and self._try("use /dev/console", use_as, self._machine, "/dev/console", STANDARD):
            self._try("reset /dev/console", self._machine.make_sane, STANDARD[0])
        else:
            self._fill_standard_descriptors()

    def _open_console(self) -> None:
        # Where this process is when it crashes is the one thing that is said there to the end.
        self._machine.report_crashes(self._machine.open("/dev/console", os.O_WRONLY))

    def _fill_standard_descriptors(self) -> None:
        self._try("open /dev/null", fill_standard, self._machine)

    def _accept_keyboard_requests(self) -> None:
        # A machine without virtual consoles has no keyboard that could ask for anything.
        with contextlib.suppress(OSError):
            console = self._machine.open("/dev/tty0", os.O_RDWR)
            try:
                self._machine.accept_keyboard_request(console, signal.SIGWINCH)
                self.has_keyboard = True
            finally:
                self._machine.close(console)

    # -- the end --------------------------------------------------------------------------------------------

    def end(self) -> None:
        """End the machine in the way that was asked for, when no job is left; nothing is lost on disks.

        Returns in a container, and where the kernel refuses: all that is left to do is to end this process.
        """
        if self.container is not None or self.way_down is None:
            return
        how = self.way_down.reboot
        machine = self._machine
        for number in (signal.SIGTERM, signal.SIGKILL):
            self._try("end other processes", machine.kill_all, number)
            if machine.collect_all(TIME_TO_END):
                break
        self._put_files_away()
        self._try(how.name.lower().replace("_", " "), machine.reboot, how)
        self._tell_failures()

    def _put_files_away(self) -> None:
        """Write everything out and unmount what is mounted, the innermost first; what cannot be becomes read-only.

        Each step is a child's: the server of a file system may be gone, and whoever asks it waits for ever.
        """
        machine = self._machine
        self._in_child("sync", machine.sync)
        for path in self._list("swap files", machine.swap_files):
            self._in_child(f"swap off {path}", machine.swap_off, path)
        mounted = self._list("mount points", machine.mount_points)
        for target in sorted(mounted, key=lambda path: path.count("/"), reverse=True):
            is_kept = target in _KEPT or target.startswith(_BELOW_KEPT)
            if not is_kept and not self._in_child(f"unmount {target}", machine.unmount, target):
                self._make_read_only(target)
        self._make_read_only("/")
        self._in_child("sync", machine.sync)

    def _list(self, what: str, look: Callable[[], list[str]]) -> list[str]:
        found: list[str] = []
        self._try(f"list {what}", lambda: found.extend(look()))
        return found

    def _make_read_only(self, target: str) -> None:
        self._in_child(f"make {target} read-only", self._machine.mount, "", target, "", MS_REMOUNT | MS_RDONLY, "")

    def _in_child(self, what: str, do: Callable[..., object], *arguments: object) -> bool:
        return self._try(what, self._machine.in_child, partial(do, *arguments), TIME_TO_UNMOUNT)
