"""A log on disk: what it is called, and output that is appended to it.

It is made by the first output, opened anew when it was deleted, and kept open when it was only renamed.
Not responsible for output that cannot be written (job_log.py). Source: runtime specification, 6.1, 6.3 and 6.4;
design, 26; open(2).
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from upstartd.proc.command import encoded

if TYPE_CHECKING:
    from upstartd.log import Log
    from upstartd.proc.kernel import Kernel

_SUFFIX = ".log"
_NAME_MAX = 255  # bytes, on every file system that Linux jobs are logged to
_DIGEST_SIZE = 16  # bytes; a name that is cut ends in twice as many hexadecimal digits


@dataclass(frozen=True, slots=True)
class LogPath:
    """Where a log is. `is_shortened`: its own name would be too long."""

    path: str
    is_shortened: bool = False


def log_path(directory: str, job: str, instance: str) -> LogPath:
    """The log in `directory` of an instance; `instance` is empty for the one without a name.

    A name that no file can have is cut, and ends in a digest of the whole, so that no two become the same.
    """
    name = (f"{job}-{instance}" if instance else job).replace("/", "_")
    is_shortened = len(encoded(name + _SUFFIX)) > _NAME_MAX
    if is_shortened:
        digest = hashlib.blake2b(encoded(name), digest_size=_DIGEST_SIZE).hexdigest()
        end = f"-{digest}"
        room = _NAME_MAX - len(end + _SUFFIX)
        name = name[:room]
        while len(encoded(name)) > room:
            name = name[:-1]
        name += end
    return LogPath(os.path.join(directory, name + _SUFFIX), is_shortened)


class LogFile:
    """A log, as one process writes to it. `fd` is its descriptor once it is open.

    Who only renames the log still finds the output of this process in it, as long as that runs.
    """

    def __init__(self, kernel: Kernel, where: LogPath, log: Log, fd: int | None = None) -> None:
        self._kernel = kernel
        self.where = where
        self._log = log
        self.fd = fd
        self._has_failed = False

    def append(self, data: bytes | bytearray) -> int:
        """Write `data`, which is not empty, or the first part of it; gives how many bytes. OSError if none.

        When it cannot be written, the log says so once.
        """
        if self.fd is not None and self._kernel.fstat(self.fd).st_nlink == 0:
            self.close()
        if self.fd is None:
            self.fd = self._open()
        try:
            written = self._kernel.write(self.fd, data)
            if not written:  # no file does that; but then nothing would ever end the attempts to write the rest
                raise OSError(errno.EIO, os.strerror(errno.EIO))
        except OSError:
            self.close()
            if not self._has_failed:
                self._log.warn(f"Failed to write to log file {self.where.path}")
            self._has_failed = True
            raise
        self._has_failed = False
        return written

    def _open(self) -> int:
        path = self.where.path
        try:
            fd = self._kernel.open_log(encoded(path))
        except ValueError:  # what no path can be
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL)) from None
        found = self._kernel.fstat(fd)
        if not stat.S_ISREG(found.st_mode):  # a pipe or a device could keep the daemon waiting
            self._kernel.close(fd)
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        if self.where.is_shortened and found.st_size == 0:
            self._log.warn(f"cannot give a log its own name, which is too long: it is {path}")
        return fd

    def close(self) -> None:
        """Let go of the file; more output would open it again."""
        if self.fd is not None:
            self._kernel.close(self.fd)
            self.fd = None
