"""Job files in an event loop: read when that is asked for, and again whenever they change.

What may take long is done in slices. Not responsible for what the files say (source.py) nor for how changes are
noticed (watch.py).
"""

from __future__ import annotations

import gc
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING

from upstartd.conf.parser import parse
from upstartd.conf.source import JobSources
from upstartd.conf.watch import JobWatch
from upstartd.slices import in_slices

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from upstartd.conf.model import JobFiles
    from upstartd.conf.parse_cache import ParseCache
    from upstartd.conf.source import Files
    from upstartd.log import Priority


class JobReader:
    """Hands what the files below `directories` say to `take`, from the first load() on; the rest as for JobSources.

    `cache` may know what many of them mean.
    """

    def __init__(self, directories: Sequence[str], *, take: Callable[[JobFiles], None],
                 report: Callable[[Priority, str], None], loop: asyncio.AbstractEventLoop,
                 files: Files | None = None, cache: ParseCache | None = None) -> None:
        self._cache = cache
        self.sources = JobSources(directories, report=report, files=files,
                                  parse=parse if cache is None else cache.parse)
        self._watch = JobWatch(self.sources, report=report)
        self._take = take
        self._loop = loop
        self._poll: asyncio.TimerHandle | None = None
        self._is_reloading = False
        self._waiting: list[Callable[[], object]] = []  # for the reload that follows the one under way
        self._is_closed = False
        descriptor = self._watch.fileno()
        if descriptor is not None:
            loop.add_reader(descriptor, self._changes_were_seen)

    def load(self) -> None:
        """Read every job directory."""
        for _ in self._load():
            pass

    def reload(self, done: Callable[[], object]) -> None:
        """Read every job directory in slices, the first of them at once, and then call `done`.

        While one reload is under way, all who ask for another wait for the one that follows: only that is sure to see
        what they want to have read.
        """
        self._waiting.append(done)
        if not self._is_reloading:
            self._begin_reload()

    def _begin_reload(self) -> None:
        served, self._waiting = self._waiting, []
        self._is_reloading = True
        in_slices(self._load(), partial(self._reloaded, served), self._loop)

    def _reloaded(self, served: Iterable[Callable[[], object]]) -> None:
        self._is_reloading = False
        for done in served:
            done()
        if self._waiting:
            self._begin_reload()

    def take_in_changes(self) -> None:
        """Read the job files whose changes the watches have already seen."""
        for _ in self._take_each(self._watch.drain()):
            pass

    def _changes_were_seen(self) -> None:
        # Whoever cannot wait until the last slice takes in what is left.
        in_slices(self._take_each(self._watch.drain()), lambda: None, self._loop)

    def _load(self) -> Iterator[None]:
        with _without_collector(), nullcontext() if self._cache is None else self._cache.loading():
            yield from self._take_each(self.sources.load())
        if self._cache is not None:
            self._loop.call_soon(self.save_cache)

    def save_cache(self) -> None:
        """Write in slices what the cache could not write yet."""
        if self._cache is not None:
            in_slices(self._cache.save(), lambda: None, self._loop)

    def _take_each(self, changes: Iterable[JobFiles]) -> Iterator[None]:
        for files in changes:
            if self._is_closed:
                return
            self._take(files)
            yield
        self._poll_if_needed()

    def _poll_if_needed(self) -> None:
        """What the kernel does not tell of is looked for from time to time, as long as that is so."""
        if self._poll is None and not self._is_closed and self._watch.interval is not None:
            self._poll = self._loop.call_later(self._watch.interval, self._look_for_changes)

    def _look_for_changes(self) -> None:
        self._poll = None
        self._changes_were_seen()

    def close(self) -> None:
        """Do not read any more. Whoever waits for a reload need not wait any longer."""
        self._is_closed = True
        if self._poll is not None:
            self._poll.cancel()
        descriptor = self._watch.fileno()
        if descriptor is not None:
            self._loop.remove_reader(descriptor)
            self._watch.close()


@contextmanager
def _without_collector() -> Iterator[None]:
    """What job files say stays for long and has no cycles: the garbage collector looks at it neither while it becomes
    more and more nor ever after. With thousands of jobs that would take longer than reading a good part of them."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
