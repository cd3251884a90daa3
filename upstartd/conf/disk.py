"""Job directories and files as they are on disk: listing and reading, without ever waiting for what is no file.

Not responsible for which names count (source.py). Source: configuration specification, section 7; open(2), inode(7).
"""

from __future__ import annotations

import enum
import errno
import os
import stat
from dataclasses import dataclass

from upstartd import root_directory

# A job file is some lines; what is larger is something else, and would hold up everybody else.
MOST_BYTES = 1 << 20
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class Kind(enum.Enum):
    """What a name in a directory stands for, as far as it matters here."""

    FILE = enum.auto()
    LINK = enum.auto()  # a symbolic link to a file
    DANGLING = enum.auto()  # a symbolic link to nothing
    DIRECTORY = enum.auto()
    OTHER = enum.auto()


@dataclass(frozen=True, slots=True)
class Content:
    """What a file holds. `stamp` is the same as long as the file has the same inode, size and modification time."""

    data: bytes
    stamp: int


class Disk:
    """The real one. What reads job files takes any object with these methods.

    Links lead where they do for a process whose root directory is `root`; all paths are to be below that.
    """

    def __init__(self, root: str = "") -> None:
        self._root = root

    def _real(self, path: str) -> str:
        """Where a path leads. OSError where that is nowhere."""
        return root_directory.resolve(self._root, path.removeprefix(self._root)) if self._root else path

    def entries(self, path: str) -> list[tuple[str, Kind]]:
        """The names in a directory, in order. OSError where it cannot be read."""
        with os.scandir(path) as found:
            return sorted(((entry.name, self._kind(entry)) for entry in found), key=lambda entry: entry[0])

    def _kind(self, entry: os.DirEntry[str]) -> Kind:
        if not entry.is_symlink():
            return (Kind.FILE if entry.is_file(follow_symlinks=False) else
                    Kind.DIRECTORY if entry.is_dir(follow_symlinks=False) else Kind.OTHER)
        try:
            return Kind.LINK if stat.S_ISREG(os.stat(self._real(entry.path)).st_mode) else Kind.OTHER
        except OSError as error:
            # Any other error will show, with its reason, when the file is read.
            return Kind.DANGLING if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP) else Kind.LINK

    def read(self, path: str, *, follow: bool = True) -> Content:
        """What the regular file at `path` holds; a link there counts only with `follow`.

        OSError where it cannot be read. Pipes and devices are not waited for: they are an error too, and so is a
        file that is too large.
        """
        file = os.open(self._real(path), _FLAGS) if follow else os.open(path, _FLAGS | os.O_NOFOLLOW)
        try:
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode):
                raise OSError(errno.EINVAL, "Not a regular file", path)
            data = os.read(file, min(status.st_size, MOST_BYTES) + 1)
            # As a rule that was all. A file that is growing, or has no size as in /proc, comes in parts.
            while len(data) > status.st_size and len(data) <= MOST_BYTES and (more := os.read(file, MOST_BYTES)):
                data += more
        finally:
            os.close(file)
        if len(data) > MOST_BYTES:
            raise OSError(errno.EFBIG, f"Larger than {MOST_BYTES} bytes", path)
        return Content(data, _stamp(status))

    def stamp(self, path: str, *, follow: bool = True) -> int | None:
        """The stamp of the regular file at `path`; None where there is none."""
        try:
            status = os.stat(self._real(path)) if follow else os.lstat(path)
        except OSError:
            return None
        return _stamp(status) if stat.S_ISREG(status.st_mode) else None


def _stamp(status: os.stat_result) -> int:
    return hash((status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns))
