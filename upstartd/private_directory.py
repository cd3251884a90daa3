"""A directory whose files count only if nobody but the daemon's own user can have written them.

A file is replaced as a whole or not at all, and what a daemon that was killed has left behind is used up by the next
one. Not responsible for what the files hold. Source: open(2), inode(7), flock(2).
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

from upstartd.places import make_private_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_FLAGS = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH
_NEW = ".new"  # what a name ends in as long as not all of the file is there


class PrivateDirectory:
    """The directory `path`, which need not be there yet. Every method raises OSError where it cannot do its work."""

    def __init__(self, path: str) -> None:
        self.path = path

    def read(self, name: str, most: int) -> bytes:
        """What the file holds. OSError where there is none that counts, or it is larger than `most` bytes."""
        with self._opened() as directory, _opened(name, os.O_RDONLY, directory) as file:
            size = os.fstat(file).st_size
            if size > most:
                raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), name)
            with open(file, "rb", closefd=False) as stream:
                return stream.read(size)

    @contextmanager
    def replacing(self, name: str) -> Iterator[Callable[[bytes | bytearray], None]]:
        """Gives a function that writes; at the end of the block the file `name` holds all that was written.

        The directory is made where it is missing. If anything is raised, the file stays what it was. BlockingIOError
        where another process is about to replace it.
        """
        make_private_directory(self.path)
        new = name + _NEW
        # The lock tells a file that somebody writes from one that was left behind.
        with self._opened() as directory, _opened(new, os.O_WRONLY | os.O_CREAT, directory) as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.path.samestat(os.fstat(file), os.stat(new, dir_fd=directory, follow_symlinks=False)):
                raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN), new)
            try:
                os.ftruncate(file, 0)
                yield partial(_write, file)
                os.rename(new, name, src_dir_fd=directory, dst_dir_fd=directory)
            except BaseException:
                with suppress(OSError):  # The next one to replace the file will use up what is left.
                    os.unlink(new, dir_fd=directory)
                raise

    def keep_newest(self, suffix: str, number: int) -> None:
        """Remove all files whose names end in `suffix` but the `number` that were written last."""
        with self._opened() as directory, os.scandir(directory) as entries:
            files = [(entry.stat(follow_symlinks=False).st_mtime_ns, entry.name) for entry in entries
                     if entry.name.endswith((suffix, suffix + _NEW))]
            for _, name in sorted(files, reverse=True)[number:]:
                os.unlink(name, dir_fd=directory)

    @contextmanager
    def _opened(self) -> Iterator[int]:
        with _opened(self.path, os.O_RDONLY | os.O_DIRECTORY) as directory:
            yield directory


@contextmanager
def _opened(path: str, flags: int, directory: int | None = None) -> Iterator[int]:
    """A descriptor of what is there; PermissionError unless it is a regular file or a directory, this process's user's
    own, and nobody else may write to it."""
    file = os.open(path, flags | _FLAGS, 0o600, dir_fd=directory)
    try:
        status = os.fstat(file)
        kind = stat.S_IFDIR if flags & os.O_DIRECTORY else stat.S_IFREG
        if stat.S_IFMT(status.st_mode) != kind or status.st_uid != os.geteuid() or status.st_mode & _OTHERS_MAY_WRITE:
            raise PermissionError(errno.EPERM, "Not private", path)
        yield file
    finally:
        os.close(file)


def _write(file: int, data: bytes | bytearray) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest):]
