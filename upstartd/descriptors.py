"""Numbers of open files: which are for jobs, keeping the daemon's own out of their way, and the standard ones."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from upstartd.machine import Machine

STANDARD = (0, 1, 2)
FIRST_INTERNAL = 10  # the numbers below are taken in job processes: the standard descriptors, and 9 for long scripts


def move_up(fd: int) -> int:
    """The same file under a number that no job can mean, closed on exec. Raises OSError; `fd` is closed then too."""
    if fd >= FIRST_INTERNAL:
        return fd
    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, FIRST_INTERNAL)
    finally:
        os.close(fd)


def memory_file(name: str, data: bytes) -> int:
    """A file in memory to read `data` from (memfd_create(2)), as move_up() makes them. Raises OSError."""
    fd = move_up(os.memfd_create(name))
    try:
        with open(fd, "wb", closefd=False) as file:
            file.write(data)
        os.lseek(fd, 0, os.SEEK_SET)
    except BaseException:
        os.close(fd)
        raise
    return fd


def fill_standard(machine: Machine) -> None:
    """Have /dev/null for each standard descriptor that is not open: no other file may get its number. OSError."""
    missing = [number for number in STANDARD if not machine.is_open(number)]
    if missing:
        use_as(machine, os.devnull, missing)


def use_as(machine: Machine, path: str, numbers: Iterable[int]) -> None:
    """Open a file as the descriptors `numbers`. Raises OSError."""
    fd = machine.open(path, os.O_RDWR)
    for number in numbers:
        machine.become(fd, number)
    machine.close(fd)
