"""Whatever is done to job files, what follows from the changes is what reading everything anew would give."""

from __future__ import annotations

import shutil
import tempfile
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from upstartd.conf.source import JobSources
from upstartd.conf.watch import JobWatch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from upstartd.conf.model import Definition, JobConfig, JobFiles

ROOTS = ("first", "second", "outside")  # the last is no job directory
DIRECTORIES = tuple(f"{root}{below}" for root in ROOTS for below in ("", "/a", "/b", "/a/c"))
places = st.sampled_from(DIRECTORIES)
below_roots = st.sampled_from([directory for directory in DIRECTORIES if "/" in directory])
names = st.sampled_from(["x.conf", "y.conf", "x.override", "y.override", "x.conf~"])
texts = st.sampled_from(["", "description one\n", "description two\n", "author me\nmanual\n", "bogus\n", "emits a b\n"])


class Changes(RuleBasedStateMachine):
    """Files and directories that come, change, move and go, while a watch is told of it now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.top = Path(tempfile.mkdtemp(prefix="upstartd-"))
        for root in ROOTS:
            (self.top / root).mkdir()
        self.sources = self.make_sources()
        self.watch = JobWatch(self.sources, report=lambda *_: None)
        self.said: dict[str, tuple[Definition, ...]] = {}
        self.taken_in = True
        self.loading: Iterator[JobFiles] | None = None
        self.take(self.sources.load())

    def teardown(self) -> None:
        self.watch.close()
        shutil.rmtree(self.top)

    def make_sources(self) -> JobSources:
        return JobSources([str(self.top / root) for root in ROOTS[:2]], report=lambda *_: None)

    def take(self, told: Iterable[JobFiles]) -> None:
        for files in told:
            self.said[files.name] = files.definitions
        self.taken_in = True

    @rule(directory=places, name=names, text=texts)
    def write(self, directory: str, name: str, text: str) -> None:
        if (self.top / directory).is_dir():
            (self.top / directory / name).write_text(text)
            self.taken_in = False

    @rule(directory=places, name=names)
    def delete(self, directory: str, name: str) -> None:
        if (self.top / directory / name).exists():
            (self.top / directory / name).unlink()
            self.taken_in = False

    @rule(directory=places, name=names, to=places, new=names)
    def rename(self, directory: str, name: str, to: str, new: str) -> None:
        if (self.top / directory / name).exists() and (self.top / to).is_dir():
            (self.top / directory / name).rename(self.top / to / new)
            self.taken_in = False

    @rule(directory=below_roots)
    def make_directory(self, directory: str) -> None:
        (self.top / directory).mkdir(parents=True, exist_ok=True)
        self.taken_in = False

    @rule(directory=below_roots)
    def remove_directory(self, directory: str) -> None:
        if (self.top / directory).is_dir():
            shutil.rmtree(self.top / directory)
            self.taken_in = False

    @rule(directory=below_roots, to=below_roots)
    def rename_directory(self, directory: str, to: str) -> None:
        source, target = self.top / directory, self.top / to
        free = not target.exists() or not any(target.iterdir())
        if source.is_dir() and target.parent.is_dir() and free and source not in (target, *target.parents):
            source.rename(target)
            self.taken_in = False

    @rule()
    def drain(self) -> None:
        self.take(self.watch.drain())

    @rule()
    def load(self) -> None:
        self.take(self.sources.load())

    @rule(count=st.integers(0, 3))
    def load_a_little(self, count: int) -> None:
        """Begin a reload, or go on with it. Whoever drains meanwhile knows what is there all the same."""
        self.loading = self.loading or self.sources.load()
        told = list(islice(self.loading, count))
        for files in told:
            self.said[files.name] = files.definitions
        if len(told) < count:
            self.loading = None

    @rule(count=st.integers(1, 3))
    def drain_a_little(self, count: int) -> None:
        for files in islice(self.watch.drain(), count):
            self.said[files.name] = files.definitions

    @invariant()
    def what_was_said_is_what_is_there(self) -> None:
        if self.taken_in:
            told = {files.name: files.definitions for files in self.make_sources().load()}
            assert meanings(self.said) == meanings(told)


def meanings(told: dict[str, tuple[Definition, ...]]) -> dict[str, list[tuple[str, JobConfig]]]:
    """The jobs that there are, with the path and the meaning of each of their readings."""
    return {name: [(definition.path, definition.config) for definition in definitions]
            for name, definitions in told.items() if definitions}


TestChanges = Changes.TestCase
TestChanges.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
