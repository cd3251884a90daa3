"""Numbers of open files: which are for jobs, and keeping the daemon's own out of their way."""

from __future__ import annotations

import fcntl
import os

FIRST_INTERNAL = 10  # the numbers below are taken in job processes: the standard descriptors, and 9 for long scripts


def move_up(fd: int) -> int:
    """The same file under a number that no job can mean, closed on exec. Raises OSError; `fd` is closed then too."""
    if fd >= FIRST_INTERNAL:
        return fd
    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, FIRST_INTERNAL)
    finally:
        os.close(fd)
