"""Noticing that job files change: inotify, and looking again and again where the kernel refuses that.

Tells the sources (source.py), which read what has changed. A directory that goes is watched no more, and one that
comes is read as a whole, so renamed directories need no pairing of the two halves: they go, and come. Not responsible
for what a change means. Source: configuration specification, sections 7 and 8; inotify(7); design, 21 and 33.
"""

from __future__ import annotations

from collections import defaultdict, deque
from os.path import join
from typing import TYPE_CHECKING, TypeAlias

import inotify_simple  # type: ignore[import-untyped]  # it comes without annotations
from inotify_simple import flags

from upstartd import inotify
from upstartd.conf.paths import Paths
from upstartd.log import Priority

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from upstartd.conf.model import JobFiles
    from upstartd.conf.source import JobSources

# A job directory, and the path of a directory below it ("" is the job directory itself).
_Place: TypeAlias = tuple[str, str]

# How often to look where nothing tells, in seconds.
INTERVAL = 2.0

_CAME = int(flags.CREATE | flags.MOVED_TO)
_WENT = int(flags.DELETE | flags.MOVED_FROM)
_WRITTEN = int(flags.CLOSE_WRITE | flags.MOVED_TO)
_SELF_MOVED = int(flags.MOVE_SELF)
_SELF_WENT = int(flags.DELETE_SELF | flags.UNMOUNT | flags.IGNORED)
_MASK = int(_CAME | _WENT | _WRITTEN | flags.MOVE_SELF | flags.DELETE_SELF | flags.ONLYDIR)


class JobWatch:
    """Watches the directories of `sources`, from the next load() of those on."""

    def __init__(self, sources: JobSources, *, report: Callable[[Priority, str], None],
                 make_inotify: Callable[[], inotify_simple.INotify] = inotify.make) -> None:
        self._sources = sources
        self._report = report
        self._inotify: inotify_simple.INotify | None = None
        self._events: deque[inotify_simple.Event] = deque()
        # What follows from the event that was taken from there last.
        self._unfinished: Iterator[JobFiles] = iter(())
        # One directory may be in several places, with one descriptor: job directories may be links or lie in others.
        self._places: dict[int, list[_Place]] = {}
        self._descriptors: dict[_Place, int] = {}
        self._unwatched: set[_Place] = set()
        # The places that have a descriptor or are unwatched, for each job directory.
        self._known: defaultdict[str, Paths] = defaultdict(Paths)
        # Directories listed since changes() began: what the queue has to say of their files may be known already.
        self._read: set[_Place] = set()
        try:
            self._inotify = make_inotify()
        except OSError as error:
            self._give_up("job directories", error)
        sources.watcher = self

    def fileno(self) -> int | None:
        """The descriptor that is readable when there is something to drain(); None if it will never tell."""
        return None if self._inotify is None else int(self._inotify.fileno())

    @property
    def interval(self) -> float | None:
        """The seconds after which to drain() without being told; None if that is not needed. It may change whenever
        directories are read."""
        return INTERVAL if self._inotify is None or self._unwatched else None

    def close(self) -> None:
        """Stop watching."""
        if self._inotify is not None:
            self._inotify.close()
            self._inotify = None

    def drain(self) -> Iterator[JobFiles]:
        """Take in all changes there are by now. It costs one system call where nothing was seen.

        What is not taken from the iterator comes from the next one.
        """
        yield from self.changes()
        if self.interval is not None:
            self._unfinished = self._sources.rescan()
            yield from self._finish()

    # -- for the sources ------------------------------------------------------------------------------------

    def changes(self) -> Iterator[JobFiles]:
        """Take in all changes that have been seen by now, as drain() does."""
        self._read.clear()
        while True:
            yield from self._finish()
            event = self._next_event()
            if event is None:
                break
            self._unfinished = self._take_in(event)

    def _finish(self) -> Iterator[JobFiles]:
        # Not `yield from`, which would end what is unfinished together with an iterator that is given up.
        while (files := next(self._unfinished, None)) is not None:
            yield files

    def watch(self, root: str, relative: str) -> None:
        """See what changes in a directory from now on."""
        if self._inotify is None:
            return
        place = root, relative
        try:
            descriptor = self._add_watch(place)
        except (FileNotFoundError, NotADirectoryError):
            # The listing that follows finds the same.
            return
        except OSError as error:
            if not self._unwatched:
                self._give_up(_path(place), error)
            self._unwatched.add(place)
            self._known[root].add(relative)
            return
        self._known[root].add(relative)
        self._unwatched.discard(place)
        self._read.add(place)
        if self._descriptors.get(place) != descriptor:
            self._release(place)
            self._descriptors[place] = descriptor
            self._places.setdefault(descriptor, []).append(place)

    def unwatch(self, root: str, relative: str) -> None:
        """Forget a directory and all below it."""
        self._forget(root, (relative, *self._known[root].below(relative)))

    def keep(self, root: str, relatives: Collection[str]) -> None:
        """Forget all but these directories of a job directory."""
        self._forget(root, [path for path in ("", *self._known[root].below("")) if path not in relatives])

    def _forget(self, root: str, paths: Iterable[str]) -> None:
        for path in paths:
            place = root, path
            self._known[root].discard(path)
            self._release(place)
            self._unwatched.discard(place)
            self._read.discard(place)

    # -- events ---------------------------------------------------------------------------------------------

    def _next_event(self) -> inotify_simple.Event | None:
        if not self._events and self._inotify is not None:
            self._events.extend(self._inotify.read(timeout=0))
        return self._events.popleft() if self._events else None

    def _take_in(self, event: inotify_simple.Event) -> Iterator[JobFiles]:
        if event.mask & flags.Q_OVERFLOW:
            # The queue was full, and nobody knows what is lost.
            yield from self._sources.rescan(closely=True)
            return
        for root, relative in tuple(self._places.get(event.wd, ())):
            if event.mask & _SELF_WENT or (event.mask & _SELF_MOVED and not relative):
                if relative:
                    yield from self._sources.directory_went(root, relative)
                else:
                    self._sources.root_went(root)
            elif event.name:
                yield from self._take_in_entry(event.mask, root, relative, join(relative, event.name))

    def _take_in_entry(self, mask: int, root: str, directory: str, path: str) -> Iterator[JobFiles]:
        """Something happened to the entry `path` of a directory below `root`."""
        if mask & flags.ISDIR:
            if mask & _WENT:
                yield from self._sources.directory_went(root, path)
            elif mask & _CAME and not self._is_watched((root, path)):
                yield from self._sources.directory_came(root, path)
        elif mask & (_WRITTEN | _WENT) and not (
                (root, directory) in self._read and self._sources.is_as_read(root, path)):
            yield from (self._sources.changed if mask & _WRITTEN else self._sources.gone)(root, path)

    def _is_watched(self, place: _Place) -> bool:
        """Whether the directory that is there now is watched, and therefore has been read."""
        if place not in self._descriptors:
            return False
        try:
            # The kernel has one descriptor for one directory, whatever it is called.
            return self._add_watch(place) == self._descriptors[place]
        except OSError:
            return False

    def _add_watch(self, place: _Place) -> int:
        assert self._inotify is not None  # without it there are neither events nor places
        # A job directory itself may be a link, one below it may not.
        return int(self._inotify.add_watch(_path(place), _MASK | (flags.DONT_FOLLOW if place[1] else 0)))

    def _release(self, place: _Place) -> None:
        """A place is watched no more; its descriptor goes with the last of its places."""
        descriptor = self._descriptors.pop(place, None)
        if descriptor is None or self._inotify is None:
            return
        self._places[descriptor].remove(place)
        if self._places[descriptor]:
            return
        del self._places[descriptor]
        try:
            self._inotify.rm_watch(descriptor)
        except OSError:
            # The kernel has removed it with the directory.
            return

    def _give_up(self, what: str, error: OSError) -> None:
        self._report(Priority.WARN, f"cannot watch {what}: {error.strerror}; "
                                    f"looking for changes every {INTERVAL:g} seconds instead")


def _path(place: _Place) -> str:
    return join(*place) if place[1] else place[0]
