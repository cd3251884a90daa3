"""What a process has done, in numbers that other work on the machine does not change: instructions and system calls.

Both come from perf_event_open(2). Where the kernel, or the hypervisor below it, has no counter of instructions, the
time on a processor (proc(5), schedstat) takes their place; where system calls cannot be counted there is nothing in
theirs. legend() says how it is here.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import platform
import resource
import struct
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Self

# struct perf_event_attr in its fifth version (112 bytes): type, size, config, sample_period, sample_type,
# read_format, flags; the rest is zero.
_ATTRIBUTES = struct.Struct("=IIQQQQQ64x")
_HARDWARE, _TRACEPOINT = 0, 2
_COUNT_INSTRUCTIONS = 1
_INHERIT, _EXCLUDE_KERNEL, _EXCLUDE_HYPERVISOR = 1 << 1, 1 << 5, 1 << 6
_CLOSE_ON_EXEC = 8
_ANY_PROCESSOR = _NO_GROUP = -1
_PERF_EVENT_OPEN = {"x86_64": 298, "aarch64": 241, "riscv64": 241}
_TRACE_EVENT = "events/raw_syscalls/sys_enter/id"
_TRACING = ("/sys/kernel/tracing", "/sys/kernel/debug/tracing")
_MICROSECOND = 1000  # nanoseconds


class Counter:
    """A number that grows with what a process does: a context manager, which lets go of what it holds."""

    def read(self) -> int:
        """The number now."""
        raise NotImplementedError

    def close(self) -> None:
        """Count no longer."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _PerfEvent(Counter):
    """A counter of the kernel's for one thread, or with `inherit` for all that it will start as well. OSError."""

    def __init__(self, kind: int, config: int, pid: int, *, inherit: bool = False) -> None:
        number = _PERF_EVENT_OPEN.get(platform.machine())
        if number is None:
            raise OSError(f"no way to count events on {platform.machine()}")
        flags = _EXCLUDE_KERNEL | _EXCLUDE_HYPERVISOR if kind == _HARDWARE else 0
        attributes = _ATTRIBUTES.pack(kind, _ATTRIBUTES.size, config, 0, 0, 0, flags | (_INHERIT if inherit else 0))
        libc = ctypes.CDLL(None, use_errno=True)
        self._fd = libc.syscall(number, attributes, pid, _ANY_PROCESSOR, _NO_GROUP, _CLOSE_ON_EXEC)
        if self._fd < 0:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error))

    def read(self) -> int:
        return int.from_bytes(os.read(self._fd, 8), "little")

    def close(self) -> None:
        os.close(self._fd)


class _ProcessorTime(Counter):
    """The microseconds that a process has been on a processor."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._begin = processor_time(pid)

    def read(self) -> int:
        return (processor_time(self._pid) - self._begin) // _MICROSECOND


class _Children(Counter):
    """A counter of the kernel's for this thread's children, living ones too: that of all, without its own. OSError."""

    def __init__(self, kind: int, config: int) -> None:
        self._all = _PerfEvent(kind, config, 0, inherit=True)
        self._own = _PerfEvent(kind, config, 0)

    def read(self) -> int:
        own = self._own.read()
        return self._all.read() - own

    def close(self) -> None:
        self._all.close()
        self._own.close()


class _ChildrensTime(Counter):
    """The microseconds that the children of this process have been on a processor."""

    def __init__(self) -> None:
        self._begin = self._so_far()

    def read(self) -> int:
        return self._so_far() - self._begin

    @staticmethod
    def _so_far() -> int:
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        living = Path("/proc/thread-self/children").read_text().split()
        return (int((ended.ru_utime + ended.ru_stime) * 1_000_000)
                + sum(processor_time(int(pid)) for pid in living) // _MICROSECOND)


class _Nothing(Counter):
    """A counter of what cannot be counted."""

    def read(self) -> int:
        return 0


def processor_time(pid: int) -> int:
    """The nanoseconds that the first thread of a process has been on a processor."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])


@functools.cache
def _lack_of_instructions() -> str:
    """Why instructions cannot be counted; empty if they can."""
    try:
        counter = _PerfEvent(_HARDWARE, _COUNT_INSTRUCTIONS, 0)
    except OSError as error:
        return error.strerror or str(error)
    counter.close()
    return ""


@functools.cache
def _system_call_event() -> int | None:
    """The number of the event that a system call is; None where that is not told."""
    for folder in _TRACING:
        with contextlib.suppress(OSError):
            return _usable(Path(folder, _TRACE_EVENT).read_text())
    # In a mount namespace of its own, so that nothing stays mounted.
    command = ["unshare", "--mount", "sh", "-ec", 'mount -t tracefs none "$0"; cat "$0/$1"', _TRACING[0], _TRACE_EVENT]
    try:
        return _usable(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    except (OSError, subprocess.CalledProcessError):
        return None


def _usable(event: str) -> int:
    """The number of an event that can be counted; OSError where it cannot."""
    _PerfEvent(_TRACEPOINT, int(event), 0).close()
    return int(event)


def work_of(pid: int) -> Counter:
    """The instructions of a process in user space, from now on; its microseconds where those cannot be counted."""
    return _ProcessorTime(pid) if _lack_of_instructions() else _PerfEvent(_HARDWARE, _COUNT_INSTRUCTIONS, pid)


def work_of_children() -> Counter:
    """The same for all processes that this one starts from now on."""
    return _ChildrensTime() if _lack_of_instructions() else _Children(_HARDWARE, _COUNT_INSTRUCTIONS)


def system_calls_of(pid: int) -> Counter:
    """The system calls of a process from now on; always 0 where they cannot be counted."""
    event = _system_call_event()
    return _Nothing() if event is None else _PerfEvent(_TRACEPOINT, event, pid)


def system_calls_of_children() -> Counter:
    """The same for all processes that this one starts from now on."""
    event = _system_call_event()
    return _Nothing() if event is None else _Children(_TRACEPOINT, event)


def can_count_system_calls() -> bool:
    """Whether system calls can be counted here."""
    return _system_call_event() is not None


def unit() -> str:
    """What work is counted in."""
    return "microseconds on a processor" if _lack_of_instructions() else "instructions"


def work(count: float) -> str:
    """Such a count of work, for people."""
    if _lack_of_instructions():
        return f"{count / 1000:.3g} ms"
    return f"{count / 1e6:.3g} M" if count < 1e9 else f"{count / 1e9:.3g} G"


def calls(count: float) -> str:
    """Such a count of system calls, for people; empty where they cannot be counted."""
    return f"{count:.{0 if count >= 10 else 1}f} calls" if can_count_system_calls() else ""


def legend() -> str:
    """What the counts are here."""
    lack = _lack_of_instructions()
    counted = ("M, G: millions and thousands of millions of instructions in user space" if not lack else
               f"ms: time on a processor, as instructions cannot be counted here ({lack})")
    return f"{counted}; " + ("calls: system calls." if can_count_system_calls() else
                             "system calls cannot be counted here.")
