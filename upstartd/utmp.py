"""Login records as the C library lays them out: the files utmp and wtmp, for the daemon and for the System V tools.

Knows the layout, reading and writing; not which records are to be written. The files are not locked: a record is
written in one piece. Source: utmp(5).
"""

from __future__ import annotations

import os
import struct
from typing import NamedTuple

UTMP = "/var/run/utmp"  # what is so now
WTMP = "/var/log/wtmp"  # what has been so, in the order of time

# Kinds of records.
RUN_LEVEL, BOOT_TIME = 1, 2
INIT_PROCESS, LOGIN_PROCESS, USER_PROCESS, DEAD_PROCESS = 5, 6, 7, 8

# The architectures whose C library never had a 32-bit version have wider numbers for the session and time.
_WIDE_MACHINES = ("aarch64", "aarch64_be", "alpha", "ia64", "loongarch64", "riscv64")
_WIDE = struct.Struct("=hxxi32s4s32s256shhqqq16s20x4x")
_NARROW = struct.Struct("=hxxi32s4s32s256shhiii16s20x")
LAYOUT = _WIDE if os.uname().machine in _WIDE_MACHINES else _NARROW


class Record(NamedTuple):
    """One record. Texts end at their first NUL byte, if they have one; `signal` and `status` are of a dead process."""

    kind: int
    pid: int
    line: bytes
    id: bytes
    user: bytes
    host: bytes
    signal: int
    status: int
    session: int
    seconds: int
    microseconds: int
    address: bytes

    @property
    def data(self) -> bytes:
        """The record as it is in the file."""
        return LAYOUT.pack(*self)


def record(kind: int, when: float, *, pid: int = 0, line: bytes = b"", identifier: bytes = b"", user: bytes = b"",
           host: bytes = b"") -> Record:
    """A record of that time, in seconds since the epoch."""
    return Record(kind, pid, line, identifier, user, host, 0, 0, 0, int(when), int(when % 1 * 1_000_000), b"")


def records(path: str) -> list[Record]:
    """The records in a file, in order; an OSError if it cannot be read. What is shorter than a record is none."""
    with open(path, "rb") as file:
        data = file.read()
    return [Record._make(values) for values in LAYOUT.iter_unpack(data[: len(data) // LAYOUT.size * LAYOUT.size])]


def record_at(file: int, index: int) -> Record | None:
    """The record of that number in an open file; None if there is none. An OSError if it cannot be read."""
    data = os.pread(file, LAYOUT.size, index * LAYOUT.size)
    return Record._make(LAYOUT.unpack(data)) if len(data) == LAYOUT.size else None


def put_at(file: int, index: int, record: Record) -> None:
    """Write a record over the one of that number in an open file. An OSError if it cannot be written."""
    os.pwrite(file, record.data, index * LAYOUT.size)


def append(path: str, record: Record) -> None:
    """Add a record to a file, if that is kept: it is not made. An OSError if it is not there or cannot be written."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    try:
        os.write(file, record.data)
    finally:
        os.close(file)


def put(path: str, record: Record) -> None:
    """Write a record over the first one of its kind in a file, or behind all others; an OSError as for append()."""
    for index, before in enumerate(records(path)):
        if before.kind == record.kind:
            file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            try:
                put_at(file, index, record)
            finally:
                os.close(file)
            return
    append(path, record)
