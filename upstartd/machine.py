"""The seam to the kernel for what only process 1 does: mounts, device nodes, the console, and the machine's end.

Everything in pid1.py reaches the system through a `Machine`, so that tests can script one. Nothing is decided here:
each method is one system call or a few that belong together. Sources: the manual pages named beside the methods.
"""

from __future__ import annotations

import contextlib
import enum
import errno
import fcntl
import os
import re
import select
import signal
import stat
import time
from typing import TYPE_CHECKING, Protocol

from upstartd.descriptors import move_up

if TYPE_CHECKING:
    from collections.abc import Callable
    from ctypes import CDLL

# From linux/mount.h; mount(2) and umount2(2) explain them.
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32

_CAD_OFF = 0  # LINUX_REBOOT_CMD_CAD_OFF, linux/reboot.h
_KDSIGACCEPT = 0x4B4E  # linux/kd.h
_ARGUMENT_FIELDS = slice(45, 47)  # arg_start and arg_end in /proc/PID/stat (proc(5)), counted after the name


class Reboot(enum.Enum):
    """The ways in which a machine ends; the value is what reboot(2) takes."""

    HALT = 0xCDEF0123
    POWER_OFF = 0x4321FEDC
    RESTART = 0x01234567


class Machine(Protocol):
    """The system as process 1 sees it. Every method may raise OSError, unless it says that it does not."""

    # -- the process ----------------------------------------------------------------------------------------

    def new_session(self) -> None:
        """Lead a session: setsid(2), where this process does not do so already."""

    def umask(self, mask: int, /) -> int:
        """umask(2). Never fails."""

    def chdir(self, path: str, /) -> None:
        """chdir(2)."""

    def rename(self, name: str, line: str, /) -> None:
        """Be called `name` in lists of processes, and have `line` as the command line (proc(5), comm and cmdline)."""

    # -- files ----------------------------------------------------------------------------------------------

    def exists(self, path: str, /) -> bool:
        """Whether there is a file. Never fails."""

    def is_mount_point(self, path: str, /) -> bool:
        """Whether a directory is on another file system than the one that it is in."""

    def make_directory(self, path: str, mode: int, /) -> None:
        """mkdir(2)."""

    def make_device(self, path: str, mode: int, major: int, minor: int, /) -> None:
        """mknod(2): a character device."""

    def open(self, path: str, flags: int, /) -> int:
        """open(2): never a controlling terminal, closed on exec, a number that no job can mean."""

    def is_open(self, fd: int, /) -> bool:
        """Whether the descriptor is open. Never fails."""

    def become(self, fd: int, number: int, /) -> None:
        """dup2(2); the copy stays open over exec."""

    def close(self, fd: int, /) -> None:
        """close(2)."""

    # -- file systems ---------------------------------------------------------------------------------------

    def mount(self, source: str, target: str, kind: str, flags: int, data: str, /) -> None:
        """mount(2)."""

    def unmount(self, target: str, /) -> None:
        """umount2(2), without flags."""

    def mount_points(self) -> list[str]:
        """Where something is mounted; a place at which there are several mounts comes several times."""

    def swap_files(self) -> list[str]:
        """The files, not devices, that are swapped to."""

    def swap_off(self, path: str, /) -> None:
        """swapoff(2)."""

    def sync(self) -> None:
        """sync(2). Never fails."""

    # -- console and keyboard -------------------------------------------------------------------------------

    def make_sane(self, fd: int, /) -> None:
        """Give a terminal settings with which people can work (termios(3)); nothing where it is no terminal."""

    def disable_ctrl_alt_delete(self) -> None:
        """Have the kernel send SIGINT for Ctrl-Alt-Delete, in place of a restart at once (reboot(2))."""

    def accept_keyboard_request(self, fd: int, number: int, /) -> None:
        """Have a virtual console send a signal for its keyboard request, Alt-Up (KDSIGACCEPT, ioctl_console(2))."""

    def report_crashes(self, fd: int, /) -> None:
        """Should this process crash, write to `fd` where it was, before the kernel does what it does then."""

    # -- the end --------------------------------------------------------------------------------------------

    def kill_all(self, number: int, /) -> None:
        """Send a signal to every process but this one (kill(2), -1)."""

    def collect_all(self, seconds: float, /) -> bool:
        """Collect children that end, until there are none; False if there are any after that time. Never fails."""

    def in_child(self, do: Callable[[], object], seconds: float, /) -> None:
        """Do something in a child; its OSError, or ETIMEDOUT where it has not ended after that time."""

    def reboot(self, how: Reboot, /) -> None:
        """reboot(2). Returns only where that does not work as it should."""


class LinuxMachine:
    """The real one."""

    def __init__(self) -> None:
        self._loaded: CDLL | None = None

    # -- the process ----------------------------------------------------------------------------------------

    umask = staticmethod(os.umask)
    chdir = staticmethod(os.chdir)

    def new_session(self) -> None:
        if os.getsid(0) != os.getpid():
            os.setsid()

    def rename(self, name: str, line: str, /) -> None:
        with open("/proc/self/comm", "wb") as file:
            file.write(os.fsencode(name))
        with open("/proc/self/stat", "rb") as file:
            start, end = (int(field) for field in file.read().rpartition(b")")[2].split()[_ARGUMENT_FIELDS])
        # Through this file, as a wrong address is an error there and not the end of the process. Python has its own
        # copy of the arguments. A last byte that is not zero tells the kernel that the line ends at the first zero.
        with open("/proc/self/cmdline", "rb") as file:
            arguments = file.read()
        room = end - start
        text = os.fsencode(line)[: room - 2]
        memory = os.open("/proc/self/mem", os.O_RDWR | os.O_CLOEXEC)
        try:
            if room > 2 and os.pread(memory, room, start) == arguments:
                os.pwrite(memory, text.ljust(room - 1, b"\0") + b"\1", start)
        finally:
            os.close(memory)

    # -- files ----------------------------------------------------------------------------------------------

    exists = staticmethod(os.path.exists)
    make_directory = staticmethod(os.mkdir)
    close = staticmethod(os.close)
    is_mount_point = staticmethod(os.path.ismount)

    def make_device(self, path: str, mode: int, major: int, minor: int, /) -> None:
        os.mknod(path, stat.S_IFCHR | mode, os.makedev(major, minor))

    def open(self, path: str, flags: int, /) -> int:
        return move_up(os.open(path, flags | os.O_NOCTTY | os.O_CLOEXEC))

    def is_open(self, fd: int, /) -> bool:
        try:
            os.fstat(fd)
        except OSError:
            return False
        return True

    def become(self, fd: int, number: int, /) -> None:
        os.dup2(fd, number)

    # -- file systems ---------------------------------------------------------------------------------------

    sync = staticmethod(os.sync)

    def mount(self, source: str, target: str, kind: str, flags: int, data: str, /) -> None:
        words = [os.fsencode(word) for word in (source, target, kind)]
        self._call("mount", *words, flags, os.fsencode(data))

    def unmount(self, target: str, /) -> None:
        self._call("umount2", os.fsencode(target), 0)

    def mount_points(self) -> list[str]:
        with open("/proc/self/mountinfo", "rb") as file:
            return [_plain(line.split(b" ")[4]) for line in file]

    def swap_files(self) -> list[str]:
        with open("/proc/swaps", "rb") as file:
            return [_plain(row.split()[0]) for row in file if row.split()[1] == b"file"]

    def swap_off(self, path: str, /) -> None:
        self._call("swapoff", os.fsencode(path))

    # -- console and keyboard -------------------------------------------------------------------------------

    def make_sane(self, fd: int, /) -> None:
        if not os.isatty(fd):
            return
        import termios

        try:
            self._set_terminal(fd)
        except termios.error as error:  # which is no OSError
            raise OSError(*error.args) from None

    def _set_terminal(self, fd: int) -> None:
        import termios
        import tty

        settings = termios.tcgetattr(fd)
        kept = termios.CSIZE | termios.CSTOPB | termios.PARENB | termios.PARODD
        settings[tty.IFLAG] = termios.BRKINT | termios.IGNPAR | termios.ICRNL | termios.IXON | termios.IMAXBEL
        settings[tty.OFLAG] = termios.OPOST | termios.ONLCR
        settings[tty.CFLAG] = settings[tty.CFLAG] & kept | termios.HUPCL | termios.CLOCAL | termios.CREAD
        settings[tty.LFLAG] = (termios.ISIG | termios.ICANON | termios.IEXTEN | termios.ECHO | termios.ECHOE
                               | termios.ECHOK | termios.ECHOCTL | termios.ECHOKE)
        keys = {termios.VINTR: b"\x03", termios.VQUIT: b"\x1c", termios.VERASE: b"\x7f", termios.VKILL: b"\x15",
                termios.VEOF: b"\x04", termios.VSTART: b"\x11", termios.VSTOP: b"\x13", termios.VSUSP: b"\x1a"}
        for key, character in keys.items():
            settings[tty.CC][key] = character
        termios.tcsetattr(fd, termios.TCSANOW, settings)

    def disable_ctrl_alt_delete(self) -> None:
        self._call("reboot", _CAD_OFF)

    def accept_keyboard_request(self, fd: int, number: int, /) -> None:
        fcntl.ioctl(fd, _KDSIGACCEPT, number)

    def report_crashes(self, fd: int, /) -> None:
        import faulthandler

        faulthandler.enable(fd)

    # -- the end --------------------------------------------------------------------------------------------

    def kill_all(self, number: int, /) -> None:
        with contextlib.suppress(ProcessLookupError):  # there is nobody else
            os.kill(-1, number)

    def collect_all(self, seconds: float, /) -> bool:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
        deadline = time.monotonic() + seconds
        while True:
            try:
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            except ChildProcessError:
                return True
            left = deadline - time.monotonic()
            if left <= 0 or signal.sigtimedwait({signal.SIGCHLD}, left) is None:
                return False

    def in_child(self, do: Callable[[], object], seconds: float, /) -> None:
        child = os.fork()
        if child == 0:
            number = errno.EIO  # for what is no OSError, and would be a bug
            try:
                do()
                number = 0
            except OSError as error:
                number = error.errno or number
            finally:
                os._exit(number)
        pidfd = os.pidfd_open(child)
        try:
            poll = select.poll()
            poll.register(pidfd, select.POLLIN)
            # One that has not ended is left to itself: nothing can be done about whoever waits in the kernel.
            ended = poll.poll(seconds * 1000)
        finally:
            os.close(pidfd)
        number = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) if ended else errno.ETIMEDOUT
        if number:
            raise OSError(number, os.strerror(number))

    def reboot(self, how: Reboot, /) -> None:
        self._call("reboot", how.value)

    def _call(self, function: str, *arguments: int | bytes) -> None:
        """Call a function of the C library that the standard library does not have; its errno as an OSError."""
        import ctypes

        if self._loaded is None:
            self._loaded = ctypes.CDLL(None, use_errno=True)
        words = [ctypes.c_ulong(value) if isinstance(value, int) else value for value in arguments]
        if getattr(self._loaded, function)(*words) == -1:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))


def _plain(field: bytes) -> str:
    r"""A path in a file below /proc, in which blanks and the like are written as \040."""
    return os.fsdecode(re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match[1], 8)]), field))
