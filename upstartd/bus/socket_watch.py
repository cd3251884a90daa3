"""Waiting for a socket to appear in the file system, without a clock.

Watches the directory that the socket will be in, or the nearest one above it that exists. Not responsible for
connecting. Source: inotify(7).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from inotify_simple import flags  # type: ignore[import-untyped]  # it comes without annotations

from upstartd import inotify

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable

_GONE = flags.DELETE_SELF | flags.MOVE_SELF
# ATTRIB: dbus-daemon opens its socket's permissions up as the last thing it does to it, when it listens already.
_MASK = flags.CREATE | flags.MOVED_TO | flags.ATTRIB | _GONE | flags.ONLYDIR
_SOMETHING_ELSE = _GONE | flags.IGNORED | flags.Q_OVERFLOW


class SocketWatch:
    """Calls `changed`, once, when one of `paths` or a directory on the way to it has come into being or been touched.

    Raises OSError where a directory cannot be watched.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, paths: Iterable[str], changed: Callable[[], None]) -> None:
        self._loop = loop
        self._changed = changed
        self._inotify = inotify.make()
        self._awaited: dict[int, set[str]] = {}  # by watch: the names in its directory that matter
        try:
            for path in paths:
                self._watch(os.path.abspath(path))
        except OSError:
            self._inotify.close()
            raise
        loop.add_reader(self._inotify, self._readable)

    def close(self) -> None:
        """Stop watching."""
        self._loop.remove_reader(self._inotify)
        self._inotify.close()

    def _watch(self, path: str) -> None:
        while True:
            directory, name = place = _deepest_directory(path)
            try:
                watch = self._inotify.add_watch(directory, _MASK)
            except FileNotFoundError:
                continue  # it was there a moment ago
            self._awaited.setdefault(watch, set()).add(name)
            if place == _deepest_directory(path):  # or else the next one came before the watch did
                return

    def _readable(self) -> None:
        if any(
            event.mask & _SOMETHING_ELSE or event.name in self._awaited.get(event.wd, ())
            for event in self._inotify.read(timeout=0)
        ):
            self.close()
            self._changed()


def _deepest_directory(path: str) -> tuple[str, str]:
    """The deepest directory there is on the way to `path`, and what has to come into being in it."""
    directory, name = os.path.split(path)
    while not os.path.isdir(directory):
        directory, name = os.path.split(directory)
    return directory, name
