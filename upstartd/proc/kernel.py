"""The one seam to the kernel: what the tracking and starting of processes needs of it, and how Linux gives it.

Everything else in this package reaches the system through a `Kernel`, so that tests can script one. Nothing is
decided here: each method is one system call, or the least that Linux asks for one answer. Sources: the manual
pages named beside the methods.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import gc
import os
import resource
import select
import signal
import stat
import struct
import termios
import time
from typing import TYPE_CHECKING, NamedTuple, Protocol

from upstartd.descriptors import memory_file, move_up

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from ctypes import CDLL
    from typing import NoReturn

    from upstartd.proc.posix_spawn import PosixSpawn
    from upstartd.proc.user_database import User


# From linux/ptrace.h; wait statuses carry the event in their third byte (ptrace(2)).
PTRACE_CONT = 7
PTRACE_DETACH = 17
PTRACE_GETEVENTMSG = 0x4201
PTRACE_SEIZE = 0x4206
PTRACE_LISTEN = 0x4208
PTRACE_EVENT_FORK = 1
PTRACE_EVENT_EXEC = 4
PTRACE_EVENT_STOP = 128
_FOLLOW_FORK_AND_EXEC = 1 << PTRACE_EVENT_FORK | 1 << PTRACE_EVENT_EXEC

_WAIT_ALL = 0x40000000  # __WALL, linux/wait.h: children of every kind
_WAIT_OPTIONS = os.WNOHANG | os.WUNTRACED | os.WCONTINUED | _WAIT_ALL
_SET_CHILD_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER, linux/prctl.h
_TAKE_TERMINAL = 0x540E  # TIOCSCTTY, asm-generic/ioctls.h

_LOG_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

# System calls that no library has a function for everywhere; the numbers are those of every newer architecture.
_CLOSE_RANGE = 436
_CLOSE_RANGE_CLOEXEC = 4
_OPENAT2 = 437
_AT_FDCWD = -100
_RESOLVE_NO_XDEV = 1  # linux/openat2.h: never leave the mount that the path starts on
# This one's number is each architecture's own: asm/unistd.h.
_RT_SIGACTION = {"x86_64": 13, "aarch64": 134}

# Where the profile for the coming exec is named. The second place is any security module's, so it may be another's.
_PROFILE_PLACES = ("/proc/self/attr/apparmor/exec", "/proc/self/attr/exec")

_SIGNALS = range(1, signal.NSIG)
_IGNORED = 1  # SIG_IGN, asm-generic/signal-defs.h


class ProcessStat(NamedTuple):
    """What /proc/PID/stat tells of a process (proc(5)). `exit_code` is a wait status, 0 where it may not be seen."""

    state: str
    parent: int
    group: int
    session: int
    start_time: int
    exit_code: int

    @property
    def has_ended(self) -> bool:
        """Whether the process has ended and only waits to be collected."""
        return self.state in ("Z", "X")


class Kernel(Protocol):
    """The system as this package sees it. Every method may raise OSError, unless it says that it does not."""

    # -- the daemon itself --------------------------------------------------------------------------------

    def own_pid(self) -> int:
        """The daemon's pid. Never fails."""

    def own_group(self) -> int:
        """The daemon's process group. Never fails."""

    def is_root(self) -> bool:
        """Whether the effective user is root. Never fails."""

    def become_subreaper(self) -> None:
        """Inherit the orphans of all descendants (PR_SET_CHILD_SUBREAPER, prctl(2))."""

    def heed_reserved_signals(self) -> None:
        """Ignore none of the signals that the C library reserves, lest every process ignores them. Never fails.

        The daemon has it from whoever started it, and no child can undo it: the library's functions refuse those.
        """

    def raise_file_limit(self) -> None:
        """Let this process open as many files as it may; what it starts has the limit as it was."""

    def restore_file_limit(self) -> None:
        """Have the limit as it was."""

    def wall_clock(self) -> float:
        """Seconds since the epoch, for records that others read. Never fails."""

    # -- descriptors ----------------------------------------------------------------------------------------

    def pipe(self) -> tuple[int, int]:
        """A new pipe, closed on exec, both numbers from descriptors.FIRST_INTERNAL on: reading end, writing end."""

    def make_script_file(self, text: bytes) -> int:
        """A descriptor to read `text` from, however long it is; closed on exec, from descriptors.FIRST_INTERNAL on."""

    def open_terminal(self) -> tuple[int, int]:
        """A new pseudo-terminal that passes on what is written to it as it is (pty(7)): our side, the processes' side.

        Both closed on exec, from descriptors.FIRST_INTERNAL on; reading ours does not wait.
        """

    def open_log(self, path: bytes, /) -> int:
        """A file to append to, made with mode 0640 where there is none; no symbolic link, and without waiting."""

    def fstat(self, fd: int, /) -> os.stat_result:
        """fstat(2)."""

    def open_null(self) -> int:
        """/dev/null for reading and writing; closed on exec, from descriptors.FIRST_INTERNAL on."""

    def open(self, path: str, flags: int, directory: int | None = None, /) -> int:
        """openat(2), closed on exec."""

    def close(self, fd: int, /) -> None:
        """close(2)."""

    def read(self, fd: int, size: int, /) -> bytes:
        """read(2)."""

    def write(self, fd: int, data: bytes | bytearray, /) -> int:
        """write(2)."""

    def set_blocking(self, fd: int, blocking: bool, /) -> None:
        """Whether reading and writing wait."""

    def close_all_on_exec(self) -> None:
        """Mark every descriptor but the standard ones to be closed on exec."""

    # -- the kernel's own file systems ----------------------------------------------------------------------

    # A relative path begins at `directory`, where one is given.

    def exists(self, path: str, /) -> bool:
        """Whether there is a file of this name. Never fails."""

    def subdirectories(self, path: str, /) -> list[str]:
        """The names of the directories in a directory."""

    def open_directory(self, path: str, /) -> int:
        """A directory for paths to begin at; closed on exec, from descriptors.FIRST_INTERNAL on."""

    def make_directory(self, path: str, directory: int | None = None, /) -> None:
        """mkdir(2), for its owner to change and everybody to look into, whatever the umask is."""

    def remove_directory(self, path: str, /) -> None:
        """rmdir(2)."""

    def read_text(self, path: str, directory: int | None = None, /) -> str:
        """All of a file."""

    def write_text(self, path: str, text: str, directory: int | None = None, /) -> None:
        """Write to a file that is there, all at once."""

    def give(self, path: str, uid: int, gid: int, directory: int | None = None, /) -> None:
        """chown(2); -1 leaves the one or the other as it is."""

    # -- starting -------------------------------------------------------------------------------------------

    def fork(self) -> int:
        """fork(2): the child's pid, or 0 in the child, which has every signal blocked and collects no garbage."""

    def find_quick(self, programs: Sequence[bytes]) -> bytes | None:
        """The first of `programs` (paths) that is there, if start_quick() can execute it without ever waiting.

        None in all other cases, doubtful ones too.
        """

    def start_quick(
        self, program: bytes, argv: tuple[bytes, ...], env: Mapping[bytes, bytes],
        descriptors: Sequence[tuple[int, int]], umask: int | None, directory: str | None,
    ) -> int:  # fmt: skip
        """Execute a program in a child that borrows this process's memory until then (posix_spawn(3)): its pid.

        The child leads a new session and has no signal blocked or ignored. `descriptors` are (ours, theirs);
        `umask` and `directory` None are the daemon's own. An error means that there is no child.
        """

    # -- in the child ---------------------------------------------------------------------------------------

    def exit(self, status: int, /) -> NoReturn:
        """_exit(2)."""

    def setsid(self) -> None:
        """setsid(2)."""

    def dup2(self, fd: int, number: int, /) -> int:
        """dup2(2); the copy stays open over exec."""

    def keep_on_exec(self, fd: int, /) -> None:
        """Have a descriptor stay open over exec."""

    def take_terminal(self, fd: int, /) -> None:
        """Make a terminal the session's controlling one, taking it from whoever has it (ioctl_tty(2))."""

    def set_limit(self, name: str, soft: int | None, hard: int | None, /) -> None:
        """setrlimit(2); `name` as in the `limit` stanza, None is unlimited."""

    def umask(self, mask: int, /) -> int:
        """umask(2). Never fails."""

    def set_nice(self, nice: int, /) -> None:
        """setpriority(2)."""

    def set_profile(self, name: str, /) -> None:
        """Have the coming exec change to this AppArmor profile (proc_pid_attr(5))."""

    def set_oom_score(self, score: int, /) -> None:
        """Write oom_score_adj (proc(5))."""

    def chroot(self, path: bytes, /) -> None:
        """chroot(2)."""

    def chdir(self, path: bytes, /) -> None:
        """chdir(2)."""

    def user(self, who: bytes | int, /) -> User | None:
        """The user of this name or id in the database as it is in the present root; None where there is none."""

    def group(self, name: bytes, /) -> int | None:
        """The id of the group of this name in the database as it is in the present root; None where there is none."""

    def own_uid(self) -> int:
        """The effective user's id. Never fails."""

    def chown(self, fd: int, uid: int, gid: int, /) -> None:
        """fchown(2); -1 leaves the one or the other as it is."""

    def initgroups(self, user: bytes, gid: int, /) -> None:
        """initgroups(3)."""

    def setgid(self, gid: int, /) -> None:
        """setgid(2)."""

    def setuid(self, uid: int, /) -> None:
        """setuid(2)."""

    def handled_signals(self) -> list[int]:
        """The signals that are not at their default: ignored, or handled by the daemon. Never fails."""

    def reset_signals(self, handled: Sequence[int], /) -> None:
        """Give `handled` their default actions, and let every signal through."""

    def stop_self(self) -> None:
        """SIGSTOP to this process."""

    def execve(self, program: bytes, argv: tuple[bytes, ...], env: Mapping[bytes, bytes], /) -> NoReturn:
        """execve(2)."""

    # -- processes ------------------------------------------------------------------------------------------

    def wait(self) -> tuple[int, int] | None:
        """News of some child or traced process, as (pid, wait status); None if there are none now. Never fails."""

    def kill(self, pid: int, number: int, /) -> None:
        """kill(2) to one process."""

    def killpg(self, group: int, number: int, /) -> None:
        """kill(2) to a process group."""

    def getpgid(self, pid: int, /) -> int:
        """getpgid(2)."""

    def pidfd_open(self, pid: int, /) -> int:
        """pidfd_open(2): a descriptor that becomes readable when the process ends."""

    def pidfd_kill(self, pidfd: int, number: int, /) -> None:
        """pidfd_send_signal(2)."""

    def pidfd_has_ended(self, pidfd: int, /) -> bool:
        """Whether the process of a pidfd has ended."""

    def stat(self, pid: int, /) -> ProcessStat | None:
        """What is known of a process; None where there is none. Never fails."""

    def pids(self) -> list[int]:
        """Every process that /proc shows. Never fails."""

    # -- tracing --------------------------------------------------------------------------------------------

    def seize(self, pid: int, /) -> None:
        """Trace a process and what it forks, without stopping it; forks and execs are events (ptrace(2))."""

    def event_message(self, pid: int, /) -> int:
        """What the event means at which a traced process stands: after a fork, the pid of its child."""

    def resume(self, pid: int, number: int, /) -> None:
        """Let a traced process go on from where it stands, with a signal, or 0 for none."""

    def listen(self, pid: int, /) -> None:
        """Leave a traced process stopped as job control has stopped it, until job control continues it."""

    def detach(self, pid: int, number: int, /) -> None:
        """Trace a process no longer; it goes on from where it stands, with a signal, or 0 for none."""


def _move_up_both(pair: tuple[int, int]) -> tuple[int, int]:
    """Two descriptors, out of the way of jobs; neither is open after a failure."""
    first, second = pair
    try:
        first = move_up(first)
    except OSError:
        os.close(second)
        raise
    try:
        return first, move_up(second)
    except OSError:
        os.close(first)
        raise


class LinuxKernel:
    """The real one."""

    def __init__(self) -> None:
        self._loaded: CDLL | None = None
        self._posix_spawn: PosixSpawn | None = None
        self._file_limit: tuple[int, int] | None = None  # as it was before it was raised

    # -- the daemon itself --------------------------------------------------------------------------------

    own_pid = staticmethod(os.getpid)
    own_group = staticmethod(os.getpgrp)
    own_uid = staticmethod(os.geteuid)
    wall_clock = staticmethod(time.time)

    def is_root(self) -> bool:
        return os.geteuid() == 0

    def become_subreaper(self) -> None:
        self._call("prctl", _SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def raise_file_limit(self) -> None:
        self._file_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (self._file_limit[1],) * 2)

    def restore_file_limit(self) -> None:
        if self._file_limit is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, self._file_limit)

    def heed_reserved_signals(self) -> None:
        number = _RT_SIGACTION.get(os.uname().machine)
        if number is None or struct.calcsize("P") != 8:
            return  # A 32-bit program has other numbers, and elsewhere the structure begins with something else.
        import ctypes

        # struct sigaction as the kernel has it begins with the action, and is all zeros for the default one.
        present, default = (ctypes.c_ulong * 8)(), bytes(64)
        for reserved in set(_SIGNALS) - signal.valid_signals():
            with contextlib.suppress(OSError):  # a sandbox that refuses it leaves things as they are
                self._call("syscall", number, reserved, 0, ctypes.addressof(present), 8)
                if present[0] == _IGNORED:
                    self._call("syscall", number, reserved, default, 0, 8)

    # -- descriptors ----------------------------------------------------------------------------------------

    close = staticmethod(os.close)
    read = staticmethod(os.read)
    write = staticmethod(os.write)
    set_blocking = staticmethod(os.set_blocking)
    fstat = staticmethod(os.fstat)

    def open(self, path: str, flags: int, directory: int | None = None, /) -> int:
        return os.open(path, flags, dir_fd=directory)

    def pipe(self) -> tuple[int, int]:
        return _move_up_both(os.pipe())

    def make_script_file(self, text: bytes) -> int:
        reading, writing = self.pipe()
        try:
            if len(text) > fcntl.fcntl(writing, fcntl.F_GETPIPE_SZ):
                try:
                    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, len(text))
                except OSError:
                    # More than the user may have in pipes. A file in memory reads the same, of any length.
                    os.close(reading)
                    reading = -1
                    return memory_file("script", text)
            # A pipe that has room for all of it takes it at once.
            os.write(writing, text)
            return reading
        except BaseException:
            if reading != -1:
                os.close(reading)
            raise
        finally:
            os.close(writing)

    def open_terminal(self) -> tuple[int, int]:
        ours, theirs = _move_up_both(os.openpty())
        try:
            attributes = termios.tcgetattr(theirs)
            attributes[1] &= ~termios.OPOST
            termios.tcsetattr(theirs, termios.TCSANOW, attributes)
            os.set_blocking(ours, False)
        except (OSError, termios.error) as why:  # which is no OSError, for all that it tells the same
            os.close(ours)
            os.close(theirs)
            raise OSError(*why.args) from None
        return ours, theirs

    def open_log(self, path: bytes, /) -> int:
        umask = os.umask(0)
        try:
            return os.open(path, _LOG_FLAGS, 0o640)
        finally:
            os.umask(umask)

    def open_null(self) -> int:
        return move_up(os.open(os.devnull, os.O_RDWR))

    def close_all_on_exec(self) -> None:
        try:
            self._call("syscall", _CLOSE_RANGE, 3, 0xFFFFFFFF, _CLOSE_RANGE_CLOEXEC)
        except OSError:
            # Kernels before 5.11, and sandboxes that do not know the call.
            for name in os.listdir("/proc/self/fd"):
                with contextlib.suppress(OSError):  # the listing's own descriptor is among them, and closed by now
                    if int(name) > 2:
                        os.set_inheritable(int(name), False)

    # -- the kernel's own file systems ----------------------------------------------------------------------

    exists = staticmethod(os.path.lexists)
    remove_directory = staticmethod(os.rmdir)

    def subdirectories(self, path: str, /) -> list[str]:
        with os.scandir(path) as entries:
            return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]

    def open_directory(self, path: str, /) -> int:
        return move_up(os.open(path, os.O_PATH | os.O_DIRECTORY))

    def make_directory(self, path: str, directory: int | None = None, /) -> None:
        os.mkdir(path, dir_fd=directory)
        os.chmod(path, 0o755, dir_fd=directory)

    def read_text(self, path: str, directory: int | None = None, /) -> str:
        with open(os.open(path, os.O_RDONLY, dir_fd=directory), "rb", buffering=0) as file:
            return file.read().decode("utf-8", "surrogateescape")

    def write_text(self, path: str, text: str, directory: int | None = None, /) -> None:
        fd = os.open(path, os.O_WRONLY, dir_fd=directory)
        try:
            os.write(fd, text.encode("utf-8", "surrogateescape"))
        finally:
            os.close(fd)

    def give(self, path: str, uid: int, gid: int, directory: int | None = None, /) -> None:
        os.chown(path, uid, gid, dir_fd=directory, follow_symlinks=False)

    # -- starting -------------------------------------------------------------------------------------------

    def fork(self) -> int:
        # The child needs these, and may be in another root by then, or have no descriptor left.
        import upstartd.execve
        import upstartd.proc.user_database  # noqa: F401 - both are

        # A signal that comes to the child before it has its own handlers must not run the daemon's, which would
        # tell the daemon's event loop, through the descriptor that both have.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        pid = -1
        try:
            pid = os.fork()
            if pid == 0:
                gc.disable()  # a collection would copy every page of the daemon's memory
                self.restore_file_limit()
        finally:
            if pid != 0:
                signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        return pid

    def find_quick(self, programs: Sequence[bytes]) -> bytes | None:
        # The daemon stands still until the child has executed its program, so no step of that may wait for anybody:
        # a binary (its `#!` line cannot lead elsewhere) on the root file system (no server that is away).
        how = struct.pack("QQQ", os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC, 0, _RESOLVE_NO_XDEV)
        for program in programs:
            if not program.startswith(b"/"):
                return None
            try:
                fd = self._call("syscall", _OPENAT2, _AT_FDCWD, program, how, len(how))
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.ENOTDIR):
                    continue
                return None
            try:
                is_binary = stat.S_ISREG(os.fstat(fd).st_mode) and os.read(fd, 4) == b"\x7fELF"
            except OSError:
                return None
            finally:
                os.close(fd)
            return program if is_binary else None
        return None

    def start_quick(
        self, program: bytes, argv: tuple[bytes, ...], env: Mapping[bytes, bytes],
        descriptors: Sequence[tuple[int, int]], umask: int | None, directory: str | None,
    ) -> int:  # fmt: skip
        with contextlib.ExitStack() as after:
            # The child has these from its parent, which nobody else can see in between: nothing runs beside this.
            if umask is not None:
                after.callback(os.umask, os.umask(umask))
            if directory is not None:
                here = os.open(".", os.O_PATH | os.O_DIRECTORY)
                after.callback(os.close, here)
                os.chdir(directory)
                after.callback(os.fchdir, here)
            if self._posix_spawn is None:
                from upstartd.proc.posix_spawn import PosixSpawn

                self._posix_spawn = PosixSpawn(self._library())
            if self._file_limit is not None:
                self.restore_file_limit()
                after.callback(self.raise_file_limit)
            return self._posix_spawn(program, argv, _as_entries(env), descriptors)

    # -- in the child ---------------------------------------------------------------------------------------

    exit = staticmethod(os._exit)
    setsid = staticmethod(os.setsid)
    dup2 = staticmethod(os.dup2)
    umask = staticmethod(os.umask)
    chroot = staticmethod(os.chroot)
    chdir = staticmethod(os.chdir)
    chown = staticmethod(os.fchown)
    setgid = staticmethod(os.setgid)
    setuid = staticmethod(os.setuid)

    def keep_on_exec(self, fd: int, /) -> None:
        os.set_inheritable(fd, True)

    def take_terminal(self, fd: int, /) -> None:
        fcntl.ioctl(fd, _TAKE_TERMINAL, 1)

    def set_limit(self, name: str, soft: int | None, hard: int | None, /) -> None:
        infinite = resource.RLIM_INFINITY
        number: int = getattr(resource, f"RLIMIT_{name.upper()}")
        try:
            resource.prlimit(0, number, (infinite if soft is None else soft, infinite if hard is None else hard))
        except (ValueError, OverflowError):  # what the module makes of EINVAL, and of numbers no limit can have
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL)) from None

    def set_nice(self, nice: int, /) -> None:
        os.setpriority(os.PRIO_PROCESS, 0, nice)

    def set_profile(self, name: str, /) -> None:
        place = next(filter(os.path.exists, _PROFILE_PLACES), _PROFILE_PLACES[-1])
        self.write_text(place, f"exec {name}")

    def set_oom_score(self, score: int, /) -> None:
        self.write_text("/proc/self/oom_score_adj", str(score))

    def user(self, who: bytes | int, /) -> User | None:
        from upstartd.proc.user_database import find_user

        return find_user(who)

    def group(self, name: bytes, /) -> int | None:
        from upstartd.proc.user_database import find_group

        return find_group(name)

    def execve(self, program: bytes, argv: tuple[bytes, ...], env: Mapping[bytes, bytes], /) -> NoReturn:
        from upstartd.execve import execve

        execve(program, argv, _as_entries(env))

    def initgroups(self, user: bytes, gid: int, /) -> None:
        os.initgroups(os.fsdecode(user), gid)

    def handled_signals(self) -> list[int]:
        return [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_DFL]

    def reset_signals(self, handled: Sequence[int], /) -> None:
        for number in handled:
            # Those that the C library reserves: see heed_reserved_signals().
            with contextlib.suppress(OSError, ValueError):
                signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())

    def stop_self(self) -> None:
        os.kill(os.getpid(), signal.SIGSTOP)

    # -- processes ------------------------------------------------------------------------------------------

    kill = staticmethod(os.kill)
    killpg = staticmethod(os.killpg)
    getpgid = staticmethod(os.getpgid)
    pidfd_open = staticmethod(os.pidfd_open)
    pidfd_kill = staticmethod(signal.pidfd_send_signal)

    def wait(self) -> tuple[int, int] | None:
        try:
            news = os.waitpid(-1, _WAIT_OPTIONS)
        except ChildProcessError:
            return None
        return news if news[0] else None

    def pidfd_has_ended(self, pidfd: int, /) -> bool:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        return bool(poll.poll(0))

    def stat(self, pid: int, /) -> ProcessStat | None:
        try:
            fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY)
        except OSError:
            return None
        try:
            text = os.read(fd, 4096)
        except OSError:  # ESRCH: it went between the two calls
            return None
        finally:
            os.close(fd)
        # The second field is the program's name in parentheses, and may hold anything.
        fields = text.rpartition(b")")[2].split()
        numbers = (int(fields[place]) for place in (1, 2, 3, 19, 49))
        return ProcessStat(fields[0].decode(), *numbers)

    def pids(self) -> list[int]:
        try:
            return [int(name) for name in os.listdir("/proc") if name.isdigit()]
        except OSError:
            return []

    # -- tracing --------------------------------------------------------------------------------------------

    def seize(self, pid: int, /) -> None:
        self._call("ptrace", PTRACE_SEIZE, pid, 0, _FOLLOW_FORK_AND_EXEC)

    def event_message(self, pid: int, /) -> int:
        import ctypes  # loaded already, by whoever seized the process

        message = ctypes.c_ulong()
        self._call("ptrace", PTRACE_GETEVENTMSG, pid, 0, ctypes.addressof(message))
        return message.value

    def resume(self, pid: int, number: int, /) -> None:
        self._call("ptrace", PTRACE_CONT, pid, 0, number)

    def listen(self, pid: int, /) -> None:
        self._call("ptrace", PTRACE_LISTEN, pid, 0, 0)

    def detach(self, pid: int, number: int, /) -> None:
        self._call("ptrace", PTRACE_DETACH, pid, 0, number)

    def _call(self, function: str, *arguments: int | bytes) -> int:
        """Call a function of the C library that the standard library does not have; its errno as an OSError.

        Integers are given as longs, as all of these functions read them.
        """
        import ctypes

        library = self._library()
        words = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
        result: int = getattr(library, function)(*words)
        if result == -1:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return result

    def _library(self) -> CDLL:
        """The C library. Loading ctypes takes a few milliseconds, so that waits until it is needed."""
        import ctypes

        if self._loaded is None:
            self._loaded = ctypes.CDLL(None, use_errno=True)
            for name in ("prctl", "ptrace", "syscall"):
                getattr(self._loaded, name).restype = ctypes.c_long
        return self._loaded


def _as_entries(env: Mapping[bytes, bytes]) -> list[bytes]:
    """An environment as a process gets it."""
    return [name + b"=" + value for name, value in env.items()]
