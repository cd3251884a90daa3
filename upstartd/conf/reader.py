"""Job files in an event loop: read when that is asked for, and again whenever they change.

Not responsible for what the files say (source.py) nor for how changes are noticed (watch.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from upstartd.conf.parser import parse
from upstartd.conf.source import JobSources
from upstartd.conf.watch import JobWatch

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable, Sequence

    from upstartd.conf.model import JobFiles
    from upstartd.conf.parser import Parse
    from upstartd.conf.source import Files
    from upstartd.log import Priority


class JobReader:
    """Hands what the files below `directories` say to `take`, from the first load() on; the rest as for JobSources."""

    def __init__(self, directories: Sequence[str], *, take: Callable[[JobFiles], None],
                 report: Callable[[Priority, str], None], loop: asyncio.AbstractEventLoop,
                 files: Files | None = None, parse: Parse = parse) -> None:
        self.sources = JobSources(directories, report=report, files=files, parse=parse)
        self._watch = JobWatch(self.sources, report=report)
        self._take = take
        self._loop = loop
        self._poll: asyncio.TimerHandle | None = None
        descriptor = self._watch.fileno()
        if descriptor is not None:
            loop.add_reader(descriptor, self.take_in_changes)

    def load(self) -> None:
        """Read every job directory."""
        self._take_all(self.sources.load())

    def take_in_changes(self) -> None:
        """Read the job files whose changes the watches have already seen."""
        self._take_all(self._watch.drain())

    def _take_all(self, changes: Iterable[JobFiles]) -> None:
        for files in changes:
            self._take(files)
        # What the kernel does not tell of is looked for from time to time, as long as that is so.
        if self._poll is None and self._watch.interval is not None:
            self._poll = self._loop.call_later(self._watch.interval, self._look_for_changes)

    def _look_for_changes(self) -> None:
        self._poll = None
        self.take_in_changes()

    def close(self) -> None:
        """Do not read any more."""
        if self._poll is not None:
            self._poll.cancel()
        descriptor = self._watch.fileno()
        if descriptor is not None:
            self._loop.remove_reader(descriptor)
            self._watch.close()
