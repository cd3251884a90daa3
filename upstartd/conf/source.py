"""Which job files there are, what they say, and which of several files with one name counts.

Goes through the job directories, puts each file together with its override, and tells with a JobFiles value what the
files say of a job whenever that may have changed. Not responsible for noticing changes (watch.py), for the disk
(disk.py), nor for what becomes of a running job (the engine). Source: configuration specification, sections 6 to 8;
runtime specification, section 2; design, 18 and 21.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import dropwhile
from os.path import join
from typing import TYPE_CHECKING, Protocol

from upstartd.conf.disk import Content, Disk, Kind
from upstartd.conf.model import Definition, JobConfig, JobFiles
from upstartd.conf.parser import EMPTY, parse
from upstartd.conf.paths import Paths
from upstartd.log import Priority

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from upstartd.conf.parser import Parse

_CONF = ".conf"
_OVERRIDE = ".override"
_IGNORED_DIRECTORY = re.compile(
    r"\..*|.*~|.*\.(?:bak|BAK|sw[pon])|#.*#|.*,v"
    r"|RCS|CVS|CVS\.adm|SCCS|BitKeeper|\{arch\}|_darcs"
    r"|.*\.(?:dpkg-|rpmsave|rpmorig|rpmnew).*|.*;[0-9a-fA-F]{8}", re.DOTALL)


class Files(Protocol):
    """What is asked of the disk; see Disk."""

    def entries(self, path: str) -> list[tuple[str, Kind]]: ...
    def read(self, path: str, *, follow: bool = True) -> Content: ...
    def stamp(self, path: str, *, follow: bool = True) -> int | None: ...


class Watcher(Protocol):
    """Whoever wants to see the changes. A place is a job directory (`root`) and the path below it, "" for itself."""

    def watch(self, root: str, relative: str) -> None:
        """This directory is about to be listed: what changes in it from now on is to be told."""

    def unwatch(self, root: str, relative: str) -> None:
        """This directory, and all below it, do not matter any more."""

    def keep(self, root: str, relatives: Collection[str]) -> None:
        """No other directories of this job directory matter any more."""

    def changes(self) -> Iterator[JobFiles]:
        """Tell, through the methods of the sources, of all changes that have been seen by now."""


class _Nobody:
    def watch(self, root: str, relative: str) -> None:
        """Nobody looks."""

    def unwatch(self, root: str, relative: str) -> None:
        """Nobody looked."""

    def keep(self, root: str, relatives: Collection[str]) -> None:
        """Nobody looked."""

    def changes(self) -> Iterator[JobFiles]:
        """Nothing was seen."""
        return iter(())


@dataclass(slots=True, eq=False)
class _File:
    """A file as it was when it was read last. `digest` is None while it has not been read.

    `number` is that of the reading, of all that there were; overrides have none.
    """

    path: str
    number: int = 0
    stamp: int | None = None
    digest: int | None = None
    definition: Definition | None = None
    diagnostics: tuple[str, ...] = ()

    @property
    def may_be_link(self) -> bool:
        """A link to a job file is as good as the file; an override must be the file itself."""
        return self.path.endswith(_CONF)


@dataclass(slots=True, eq=False)
class _Directory:
    """A job directory. Files are known by the names of their jobs; `names` has them all."""

    path: str
    there: bool = False
    confs: dict[str, _File] = field(default_factory=dict)
    overrides: dict[str, _File] = field(default_factory=dict)
    names: Paths = field(default_factory=Paths)

    def put(self, files: dict[str, _File], name: str, file: _File | None) -> _File | None:
        """Have this file for a job among `files`, the confs or the overrides, or none; gives the one there was."""
        before = files.pop(name, None) if file is None else files.get(name)
        if file is not None:
            files[name] = file
            self.names.add(name)
        elif name not in self.confs and name not in self.overrides:
            self.names.discard(name)
        return before


@dataclass(slots=True)
class _Listing:
    """The names of the jobs whose files a directory holds, in the order of the files' names.

    `directories` are those that were looked into, by their paths below the job directory. Of the files in those that
    are `unreadable` nothing is known.
    """

    confs: list[str] = field(default_factory=list)
    overrides: list[str] = field(default_factory=list)
    directories: set[str] = field(default_factory=set)
    unreadable: set[str] = field(default_factory=set)

    def knows(self, name: str) -> bool:
        """Whether a job that is not in the listing is really not there."""
        while name and self.unreadable:
            name = name.rpartition("/")[0]
            if name in self.unreadable:
                return False
        return True


class JobSources:
    """The job files below `directories`, the one with the highest precedence first.

    What there is to say goes to `report`; `parse` tells what a text means, as parser.py does. Every method that reads
    files gives the JobFiles that follow, each as soon as it is known; nothing is read before it is asked for, so such
    an iterator must be used up. Between two of its values other methods may be called.
    """

    def __init__(self, directories: Sequence[str], *, report: Callable[[Priority, str], None],
                 files: Files | None = None, parse: Parse = parse) -> None:
        self.watcher: Watcher = _Nobody()
        self._directories = {path: _Directory(path) for path in directories}
        self._report = report
        self._files = files if files is not None else Disk()
        self._parse_text = parse
        self._readings = 0

    # -- everything --------------------------------------------------------------------------------------------

    def load(self) -> Iterator[JobFiles]:
        """Read everything anew, at start and for a reload: of one directory after the other the files in order, and
        then what has gone from it (specification, section 8)."""
        since = self._readings
        overridden: set[str] = set()
        for path, directory in self._directories.items():
            # What has been seen already is then not read twice.
            yield from self.watcher.changes()
            listing = self._list(directory, "")
            self.watcher.keep(path, listing.directories)
            if directory.there:
                self._report(Priority.INFO, f"Loading configuration from {path}")
            yield from self._take_in(directory, listing, since, lambda _: False, overridden)

    def rescan(self, *, closely: bool = False) -> Iterator[JobFiles]:
        """Read what is not as it was read, when changes may have been missed.

        What has the same stamp is taken to be the same, unless one looks `closely`. A directory that was not there is
        not looked for; that is the matter of load().
        """
        same = self._holds_the_same if closely else self._looks_the_same
        overridden: set[str] = set()
        for directory in self._directories.values():
            if directory.there:
                listing = self._list(directory, "")
                if not directory.there:
                    self.root_went(directory.path)
                yield from self._take_in(directory, listing, self._readings, same, overridden)

    def _take_in(self, directory: _Directory, listing: _Listing, since: int,
                 same: Callable[[_File], bool], overridden: set[str]) -> Iterator[JobFiles]:
        """Read what is in the listing but not the same as before, and forget what is not in it any more.

        What has a number above `since` has been read just now. `overridden` are the jobs whose override has changed,
        in this directory or one before.
        """
        found = set(listing.confs)
        lost = {name: file for name, file in directory.confs.items() if name not in found and listing.knows(name)}
        overrides = self._overrides(directory, listing, same)
        changed = [name for name in directory.overrides | overrides
                   if directory.overrides.get(name) is not overrides.get(name)]
        for name in changed:
            directory.put(directory.overrides, name, overrides.get(name))
        overridden.update(changed)
        for name in listing.confs:
            known = directory.confs.get(name)
            if known is None or name in overridden or (known.number <= since and not same(known)):
                yield self._read(directory, name)
        for name, file in lost.items():
            if directory.confs.get(name) is file:
                yield self._forget(directory, name)

    def _overrides(self, directory: _Directory, listing: _Listing, same: Callable[[_File], bool]) -> dict[str, _File]:
        """The overrides in a listing, and those of which it knows nothing. What is the same stays the same."""
        overrides = {name: file for name, file in directory.overrides.items() if not listing.knows(name)}
        for name in listing.overrides:
            known = directory.overrides.get(name)
            now = known if known is not None and same(known) else self._override(directory, name)
            if now is not None:
                overrides[name] = now
        return overrides

    def _looks_the_same(self, file: _File) -> bool:
        return file.stamp == self._files.stamp(file.path, follow=file.may_be_link)

    def _holds_the_same(self, file: _File) -> bool:
        try:
            return file.digest == hash(self._files.read(file.path, follow=file.may_be_link).data)
        except OSError:
            return False

    # -- what a watcher has seen ----------------------------------------------------------------------------

    def changed(self, root: str, relative: str) -> Iterator[JobFiles]:
        """The file there has been written, or been moved there."""
        directory = self._directories[root]
        if (name := _job_of(relative, _CONF)) is not None:
            yield self._read(directory, name)
        elif (name := _job_of(relative, _OVERRIDE)) is not None:
            now = self._override(directory, name)
            before = directory.put(directory.overrides, name, now)
            if before is not None or now is not None:
                yield from self._read_overridden(directory, name)

    def gone(self, root: str, relative: str) -> Iterator[JobFiles]:
        """The file there has been deleted, or moved away."""
        directory = self._directories[root]
        if (name := _job_of(relative, _CONF)) in directory.confs:
            yield self._forget(directory, name)
        elif (name := _job_of(relative, _OVERRIDE)) in directory.overrides:
            self._report(Priority.INFO, f"Handling deletion of {directory.overrides[name].path}")
            directory.put(directory.overrides, name, None)
            yield from self._read_overridden(directory, name)

    def directory_came(self, root: str, relative: str) -> Iterator[JobFiles]:
        """A directory has been made there, or been moved there: read what it holds."""
        if _is_ignored(relative):
            return
        directory = self._directories[root]
        listing = self._list(directory, relative)
        for name, override in self._overrides(directory, listing, lambda _: False).items():
            directory.put(directory.overrides, name, override)
        for name in listing.confs:
            yield self._read(directory, name)
        for name in listing.overrides:
            yield from self._read_overridden(directory, name, but=listing.confs)

    def directory_went(self, root: str, relative: str) -> Iterator[JobFiles]:
        """The directory there has been deleted, or moved away: its jobs go one by one."""
        self.watcher.unwatch(root, relative)
        directory = self._directories[root]
        names = directory.names.below(relative)
        overrides = [name for name in names if directory.put(directory.overrides, name, None) is not None]
        for name in names:
            if name in directory.confs:
                yield self._forget(directory, name)
        for name in overrides:
            yield from self._read_overridden(directory, name)

    def root_went(self, root: str) -> None:
        """A job directory itself has been deleted or moved away. Its jobs stay until the next load()."""
        self.watcher.unwatch(root, "")
        self._directories[root].there = False
        self._report(Priority.WARN, f"{root}: Configuration directory deleted")

    def is_as_read(self, root: str, relative: str) -> bool:
        """Whether the file there holds what it held when it was read last."""
        directory = self._directories[root]
        known = (directory.confs.get(_job_of(relative, _CONF) or "")
                 or directory.overrides.get(_job_of(relative, _OVERRIDE) or ""))
        return known is not None and self._holds_the_same(known)

    # -- answers --------------------------------------------------------------------------------------------

    def jobs(self) -> set[str]:
        """The names of all jobs that have a file, be it right or wrong."""
        return {name for directory in self._directories.values() for name in directory.confs}

    def describe(self) -> list[dict[str, object]]:
        """Every directory with its files and what is wrong with them, as plain data, for GetState and for people."""
        return [{"path": directory.path,
                 "files": [{"path": file.path, "job": name, "diagnostics": list(file.diagnostics)}
                           for files in (directory.confs, directory.overrides) for name, file in files.items()]}
                for directory in self._directories.values()]

    # -- one file -------------------------------------------------------------------------------------------

    def _read(self, directory: _Directory, name: str) -> JobFiles:
        """Read a job's file, with its override, and tell what the files say of the job now."""
        self._readings += 1
        file = _File(join(directory.path, name + _CONF), self._readings)
        try:
            content = self._files.read(file.path)
        except FileNotFoundError:
            # It is gone already; whoever watches will hear of that too, and have nothing left to do.
            return self._forget(directory, name)
        except OSError as error:
            file.stamp = self._files.stamp(file.path)
            file.diagnostics = (self._unreadable(file.path, error),)
        else:
            config = self._parse(file, content)
            if config is not None:
                file.definition = Definition(name, self._with_override(directory, name, config), file.path)
        directory.put(directory.confs, name, file)
        return self._job(name)

    def _with_override(self, directory: _Directory, name: str, config: JobConfig) -> JobConfig:
        """What a file and its override say together; the file alone where the override is missing or wrong."""
        override = None
        for before in self._directories.values():
            override = before.overrides.get(name)
            if override is not None or before is directory:
                break
        if override is None:
            return config
        try:
            content = self._files.read(override.path, follow=override.may_be_link)
        except FileNotFoundError:
            return config
        except OSError as error:
            override.diagnostics = (self._unreadable(override.path, error),)
            return config
        return self._parse(override, content, config) or config

    def _parse(self, file: _File, content: Content, base: JobConfig = EMPTY) -> JobConfig | None:
        """What the content of a file means, on top of `base`, or None where it is wrong. Both are written down."""
        file.stamp, file.digest = content.stamp, hash(content.data)
        parsed = self._parse_text(content.data.decode("utf-8", "surrogateescape"), file.path, base)
        if parsed.diagnostics:
            # The others may follow from it alone; who wants to know has them in the description.
            self._report(Priority.ERROR, str(parsed.diagnostics[0]))
        file.diagnostics = tuple(diagnostic.in_full for diagnostic in parsed.diagnostics)
        return parsed.config

    def _unreadable(self, path: str, error: OSError) -> str:
        """Tell why a file cannot be read."""
        text = f"{path}: Error while loading configuration file: {error.strerror}"
        self._report(Priority.ERROR, text)
        return text

    def _forget(self, directory: _Directory, name: str) -> JobFiles:
        """A job's file is gone."""
        file = directory.put(directory.confs, name, None)
        if file is not None:
            self._report(Priority.INFO, f"Handling deletion of {file.path}")
        return self._job(name)

    def _job(self, name: str) -> JobFiles:
        """What the files say of a job."""
        files = [directory.confs[name] for directory in self._directories.values() if name in directory.confs]
        return JobFiles(name, tuple([file.definition for file in files if file.definition is not None]))

    # -- overrides ------------------------------------------------------------------------------------------

    def _override(self, directory: _Directory, name: str) -> _File | None:
        """A job's override as it lies there, not yet read; None where there is none, or it is no regular file."""
        path = join(directory.path, name + _OVERRIDE)
        file = _File(path)
        file.stamp = self._files.stamp(path, follow=file.may_be_link)
        return None if file.stamp is None else file

    def _read_overridden(self, directory: _Directory, name: str, but: Iterable[str] = ()) -> Iterator[JobFiles]:
        """An override came, changed or went: read every file anew for which it is, or was, in question.

        These are those of its directory and of later ones, even where an earlier directory has another override. If
        the name is in `but`, that of its own directory has been read just now.
        """
        later = dropwhile(lambda before: before is not directory, self._directories.values())
        affected = [after for after in later if name in after.confs]
        if name in but:
            affected.remove(directory)
        told = None
        for after in affected:
            told = self._read(after, name)
        if told is not None:
            yield told

    # -- listing --------------------------------------------------------------------------------------------

    def _list(self, directory: _Directory, relative: str) -> _Listing:
        """What a job directory, or a directory below it, holds; it is watched from just before. Does not read files."""
        listing = _Listing()
        # Not recursion but a list of what is still to be looked at, the next one last: depth is no matter.
        ahead = [(relative, Kind.DIRECTORY)]
        while ahead:
            relative, kind = ahead.pop()
            path = join(directory.path, relative) if relative else directory.path
            if kind is Kind.DIRECTORY:
                entries = self._entries(directory, relative, path, listing)
                ahead += [(join(relative, name), kind) for name, kind in reversed(entries)
                          if kind is not Kind.DIRECTORY or not _is_ignored(name)]
            elif (name := _job_of(relative, _OVERRIDE)) is not None:
                if kind is Kind.FILE:
                    listing.overrides.append(name)
            elif (name := _job_of(relative, _CONF)) is not None:
                if kind is Kind.DANGLING:
                    self._report(Priority.WARN, f"{path}: Dangling symbolic link is ignored")
                elif kind is Kind.OTHER:
                    self._report(Priority.WARN, f"{path}: Not a regular file, ignored")
                else:
                    listing.confs.append(name)
        return listing

    def _entries(self, directory: _Directory, relative: str, path: str, listing: _Listing) -> list[tuple[str, Kind]]:
        """The names in one directory. One that cannot be read is reported, one that is not there is passed over."""
        self.watcher.watch(directory.path, relative)
        listing.directories.add(relative)
        entries: list[tuple[str, Kind]] = []
        there = True
        try:
            entries = self._files.entries(path)
        except OSError as error:
            there = not isinstance(error, (FileNotFoundError, NotADirectoryError))
            if there:
                listing.unreadable.add(relative)
            if not isinstance(error, FileNotFoundError):
                self._report(Priority.ERROR, f"{path}: Error while loading configuration directory: {error.strerror}")
        if not relative:
            directory.there = there
        return entries


def _job_of(relative: str, suffix: str) -> str | None:
    """The name of the job whose file of this kind has that path below its directory; None where it is no such file."""
    name = relative.removesuffix(suffix)
    return None if name == relative or not name or name.endswith("/") else name


def _is_ignored(relative: str) -> bool:
    """Whether a directory's name is one of those that are not read: hidden, backups, and those of various tools."""
    return _IGNORED_DIRECTORY.fullmatch(relative.rpartition("/")[2]) is not None
