"""Whether a job starts by itself, and changing that: the stanza `manual` in its override.

Works on the files alone, read with the daemon's own parser; a daemon notices by itself. Not responsible for starting
or stopping anything, nor for which directories there are (job_files.py). Source: configuration specification, sections
6 and 7; the commands are our own.
"""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from typing import TYPE_CHECKING, NamedTuple

from upstartd.conf.diagnostics import Fault
from upstartd.conf.disk import Disk, Kind
from upstartd.conf.lexer import Lexer
from upstartd.conf.parser import parse
from upstartd.conf.source import JobSources
from upstartd.conf.stanzas import Draft, read_stanza
from upstartd_clients.errors import LocalError
from upstartd_clients.job_files import described

if TYPE_CHECKING:
    from collections.abc import Sequence

    from upstartd.conf.model import JobConfig, JobFiles

_CONF = ".conf"
_OVERRIDE = ".override"
_MANUAL = "manual"
# Where these come up, the override may lie in a directory before, which is how users override what is the system's.
_NOT_HERE = (errno.EACCES, errno.EPERM, errno.EROFS)


class JobOnDisk(NamedTuple):
    """A job as its files have it: what they mean together, and what its file means without the override.

    `directories` are those whose overrides count for it, the last one is that of its file. `overrides` are the paths
    of those that are there, in the same order; only the first counts, and not even that if it is wrong.
    """

    name: str
    config: JobConfig
    path: str
    plain: JobConfig
    directories: list[str]
    overrides: list[str]

    @property
    def enabled(self) -> bool:
        """Whether there are events that start it."""
        return bool(self.config.start_on)


class _FilesOf:
    """The disk, as if (nearly) nothing were there but one job's files: the others need not be read."""

    def __init__(self, name: str) -> None:
        *self._directories, last = name.split("/")
        self._files = (last + _CONF, last + _OVERRIDE)
        self._disk = Disk()
        self.read = self._disk.read
        self.stamp = self._disk.stamp

    def entries(self, path: str) -> list[tuple[str, Kind]]:
        return [(name, kind) for name, kind in self._disk.entries(path)
                if name in (self._directories if kind is Kind.DIRECTORY else self._files)]


def find(name: str, directories: Sequence[str]) -> JobOnDisk:
    """The job of that name in these directories, the one with the highest precedence first.

    LocalError if there is none, or its file is wrong.
    """
    sources = JobSources(directories, report=lambda _priority, _text: None, files=_FilesOf(name))
    told: list[JobFiles] = [files for files in sources.load() if files.name == name]
    files = [file for file in described(sources.describe()).files if file.job == name]
    if not told or not told[-1].definitions:
        wrong = [diagnostic for file in files for diagnostic in file.diagnostics]
        raise LocalError(f"{name} is no job: {wrong[0]}" if wrong else f"Unknown job: {name}")
    definition = told[-1].definitions[0]
    last = [os.path.join(directory, name + _CONF) for directory in directories].index(definition.path)
    counting = list(directories[: last + 1])
    paths = {file.path for file in files}
    overrides = [path for directory in counting if (path := os.path.join(directory, name + _OVERRIDE)) in paths]
    plain = parse(_text_of(definition.path), definition.path).config
    if plain is None:
        raise LocalError(f"cannot read {definition.path}: it has just been changed")
    return JobOnDisk(name, definition.config, definition.path, plain, counting, overrides)


def disable(job: JobOnDisk) -> str | None:
    """Have no event start the job; gives the path of the override that was written, None if none starts it anyway.

    LocalError where that does not work.
    """
    if not job.enabled:
        return None
    text = _override_of(job)
    changed = f"{text}\n{_MANUAL}\n" if text and not text.endswith("\n") else f"{text}{_MANUAL}\n"
    parsed = parse(changed, job.overrides[0] if job.overrides else job.path, job.plain)
    if parsed.config is None:
        raise LocalError(f"cannot disable {job.name}: {parsed.diagnostics[0]}")
    if parsed.config.start_on:
        raise LocalError(f"cannot disable {job.name}: `{_MANUAL}' would not count at the end of {job.overrides[0]}")
    return _write(job, changed, "disable")


def enable(job: JobOnDisk) -> str | None:
    """Have events start the job again; gives the path of the override that was changed, None if they do anyway.

    LocalError where that does not work, as for a job that has no start condition.
    """
    if job.enabled:
        return None
    changed = _without_manual(_override_of(job), job)
    # An override that is wrong, and so does not count, is not what keeps the job from being enabled.
    config = parse(changed, job.path, job.plain).config if job.overrides else job.plain
    if config is None or not config.start_on:
        raise LocalError(f"cannot enable {job.name}: {job.path} has no `start on', or has `{_MANUAL}' below it")
    return _write(job, changed, "enable")


def _override_of(job: JobOnDisk) -> str:
    """The text of the override that counts; empty where there is none."""
    return _text_of(job.overrides[0]) if job.overrides else ""


def _without_manual(text: str, job: JobOnDisk) -> str:
    """An override without the stanza `manual`, and without the lines on which there was nothing else."""
    lexer, draft = Lexer(text), Draft(job.plain)
    kept, begin = "", 0
    while lexer.next_stanza():
        at = lexer.position
        try:
            read_stanza(lexer, draft)
        except Fault:
            return text  # It is wrong, and so does not count.
        if text[at:lexer.position] == _MANUAL:
            line_begin, line_end = text.rfind("\n", 0, at) + 1, text.find("\n", at) + 1 or len(text)
            alone = not (text[line_begin:at] + text[lexer.position:line_end]).strip()
            kept += text[begin:line_begin if alone else at]
            begin = lexer.position = line_end if alone else lexer.position
    return kept + text[begin:]


def _write(job: JobOnDisk, text: str, verb: str) -> str:
    """Make `text` the override that counts; gives its path. LocalError, that one cannot `verb` the job, if it fails."""
    places = [os.path.join(directory, job.name + _OVERRIDE) for directory in job.directories]
    at = places.index(job.overrides[0]) if job.overrides else len(places) - 1
    failure = ""
    for path in reversed(places[: at + 1]):
        if os.path.islink(path):
            raise LocalError(f"cannot {verb} {job.name}: {path} is a symbolic link, which would not count")
        try:
            if not text.strip() and job.overrides == [path]:
                os.unlink(path)  # There is nothing left in it, and none behind it that would count then.
            else:
                _replace(path, text)
        except OSError as error:
            failure = failure or f"cannot {verb} {job.name}: cannot write {path}: {error.strerror}"
            if error.errno not in _NOT_HERE:
                break
        else:
            return path
    raise LocalError(failure)


def _replace(path: str, text: str) -> None:
    """Write a file as a whole or not at all; its mode and owner stay. The directory is made if there is none."""
    directory = os.path.dirname(path)
    os.makedirs(directory, exist_ok=True)
    before = os.stat(path) if os.path.exists(path) else None
    # No daemon takes a file of this name for a job's.
    file, temporary = tempfile.mkstemp(prefix=f".{os.path.basename(path)}.", dir=directory)
    try:
        with open(file, "w", encoding="utf-8", errors="surrogateescape", newline="") as stream:
            stream.write(text)
            stream.flush()
            os.fchmod(file, stat.S_IMODE(before.st_mode) if before else 0o644)
            if before and os.geteuid() == 0:
                os.fchown(file, before.st_uid, before.st_gid)
            os.fsync(file)
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _text_of(path: str) -> str:
    try:
        return Disk().read(path).data.decode("utf-8", "surrogateescape")
    except OSError as error:
        raise LocalError(f"cannot read {path}: {error.strerror}") from error
