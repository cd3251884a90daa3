"""What job files mean, kept on disk: a daemon that starts need not parse again what one before it has parsed.

A text is known by its digest, and only valid readings of files that stand for themselves are kept. The file is text: a
line that tells what the readings depend on, and then one line for each, with a digest of the text, the reading as
JSON, and a checksum over both. Whatever is wrong with a file or a line, the text is parsed as if it were not there.
Not responsible for parsing (parser.py), for the JSON (state/codec.py), nor for who may write to the file
(private_directory.py).
"""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING

from upstartd import signals
from upstartd.conf import conditions, diagnostics, lexer, model, parser, stanzas
from upstartd.conf.model import JobConfig
from upstartd.conf.parser import EMPTY, Parsed
from upstartd.engine import states
from upstartd.log import Priority
from upstartd.private_directory import PrivateDirectory
from upstartd.state import codec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

# All of our code that decides what a text means, and how that is written down.
DECIDING = (conditions, diagnostics, lexer, model, parser, stanzas, signals, states, codec)

# Fewer files than these are parsed in no time, and leave nothing on the disk.
_FEWEST = 32
# Where one text in so many is new, writing the file costs less than parsing them the next time.
_SHARE = 64
_MOST_BYTES = 32 << 20
_CHUNK = 1 << 16
# Each set of job directories has a file of its own; those that were written last are kept.
_MOST_FILES = 8
_SUFFIX = ".readings"

# A line: a checksum over what follows, the digest of a text, the reading. The first two are of fixed width.
_CHECKSUM_BYTES, _DIGEST_BYTES = 8, 16
_DIGEST_AT = 2 * _CHECKSUM_BYTES + 1
_READING_AT = _DIGEST_AT + 2 * _DIGEST_BYTES + 1


def fingerprint() -> str | None:
    """What tells two programs apart that may read a text differently; None where it cannot be found out.

    That is our own code, the Python that runs it, pyparsing (whose first file has its version; it is not imported for
    this), and the machine's numbers of signals.
    """
    grammar = PathFinder.find_spec("pyparsing")
    everything = blake2b(repr((sys.version, signals.NUMBERS)).encode(), digest_size=_DIGEST_BYTES)
    try:
        for path in (__file__, *(module.__file__ for module in DECIDING), grammar.origin if grammar else None):
            with open(path or "", "rb") as file:
                everything.update(blake2b(file.read()).digest())
    except OSError:
        return None
    return everything.hexdigest()


@dataclass(slots=True, eq=False)
class _Load:
    """What is known while job files are loaded: what the file holds, not yet understood, and what was asked for."""

    data: bytes = b""
    lines: dict[bytes, int] = field(default_factory=dict)  # where they begin in the data, by the texts' digests
    used: set[bytes] = field(default_factory=set)  # the digests of those that were understood
    parsed: dict[bytes, JobConfig] = field(default_factory=dict)  # what had to be parsed, and is valid

    @property
    def total(self) -> int:
        """How many valid texts there were."""
        return len(self.used) + len(self.parsed)

    @property
    def is_worth_keeping(self) -> bool:
        """Whether it differs enough from what the file holds."""
        much_is_new = self.total >= _FEWEST and len(self.parsed) * _SHARE >= self.total
        return much_is_new or 0 < 2 * len(self.used) < len(self.lines)

    def line(self, digest: bytes) -> bytes | None:
        """The line about the text with this digest, if it is as it was written."""
        begin = self.lines.get(digest)
        if begin is None:
            return None
        line = self.data[begin:self.data.index(b"\n", begin) + 1]
        return line if line[:_DIGEST_AT - 1] == _checksum(line[_DIGEST_AT:]) else None

    def reading(self, digest: bytes) -> JobConfig | None:
        """What is known of the text with this digest."""
        if digest in self.parsed:
            return self.parsed[digest]
        line = self.line(digest)
        if line is None:
            return None
        try:
            config = codec.decode(JobConfig, json.loads(line[_READING_AT:].decode()))
        except (ValueError, RecursionError):
            return None
        self.used.add(digest)
        return config

    def lines_to_keep(self) -> Iterator[bytes]:
        """What was known and asked for, as it was written, and what was parsed."""
        for digest in self.used:
            if (line := self.line(digest)) is not None:
                yield line
        for digest, config in self.parsed.items():
            what = b"%b %b\n" % (digest, json.dumps(codec.encode(config), separators=(",", ":")).encode())
            yield b"%b %b" % (_checksum(what), what)


class ParseCache:
    """The readings of the files in `job_directories`, in a file below `directory`; `report` gets what few want to know.

    They are there while job files are loaded(): no longer is memory spent on them, and a single file that changes is
    better parsed.
    """

    def __init__(self, directory: str, job_directories: Sequence[str], *,
                 report: Callable[[Priority, str], None]) -> None:
        self._directory = PrivateDirectory(directory)
        self._name = _digest("\0".join(job_directories).encode("utf-8", "surrogateescape")).decode() + _SUFFIX
        self._report = report
        # Now, since other files may take the place of those that this process was made of.
        found = fingerprint()
        self._header = None if found is None else f"What job files mean to upstartd ({found})\n".encode()
        self._load: _Load | None = None
        self._unsaved: _Load | None = None  # what is left to write

    @contextmanager
    def loading(self) -> Iterator[None]:
        """All job files are loaded inside of this block. What is worth keeping of it waits for save()."""
        if self._header is None:
            yield
            return
        load = self._load = _Load(*self._read(self._header))
        try:
            yield
        finally:
            self._load = None
        # A load that was broken off says nothing about what is not needed any more.
        self._report(Priority.DEBUG, f"{self._path}: {len(load.used)} of {load.total} texts were known")
        self._unsaved = load if load.is_worth_keeping else None

    def parse(self, text: str, path: str, base: JobConfig = EMPTY) -> Parsed:
        """As parser.parse(), with the same result."""
        load = self._load
        if load is None or base is not EMPTY:
            return parser.parse(text, path, base)
        try:
            digest = _digest(text.encode("utf-8", "surrogateescape"))
        except UnicodeEncodeError:  # This is the text of no file.
            return parser.parse(text, path)
        config = load.reading(digest)
        if config is not None:
            return Parsed(config)
        parsed = parser.parse(text, path)
        if parsed.config is not None:
            load.parsed[digest] = parsed.config
        return parsed

    def save(self) -> Iterator[None]:
        """Write what the last load has left to write, in many small steps. What cannot be written waits on."""
        load, self._unsaved = self._unsaved, None
        if load is None or self._header is None:
            return
        try:
            yield from self._write(load, self._header)
        except OSError as error:
            self._report(Priority.DEBUG, f"cannot write {self._path}: {error.strerror}")
            load.data, load.lines = b"", {}
            self._unsaved = self._unsaved or load

    @property
    def _path(self) -> str:
        return f"{self._directory.path}/{self._name}"

    def _read(self, header: bytes) -> tuple[bytes, dict[bytes, int]]:
        """What the file holds, and where the lines begin in it; nothing where it is not for us."""
        try:
            data = self._directory.read(self._name, _MOST_BYTES)
        except OSError as error:
            if not isinstance(error, FileNotFoundError):
                self._report(Priority.DEBUG, f"cannot read {self._path}: {error.strerror}")
            return b"", {}
        if not data.startswith(header):
            self._report(Priority.DEBUG, f"{self._path} is not for this version")
            return b"", {}
        lines: dict[bytes, int] = {}
        begin = len(header)
        # Where one is too short to be one, it and the next have the wrong checksum, or none.
        while (end := data.find(b"\n", begin + _READING_AT)) >= 0:
            lines[data[begin + _DIGEST_AT:begin + _READING_AT - 1]] = begin
            begin = end + 1
        return data, lines

    def _write(self, load: _Load, header: bytes) -> Iterator[None]:
        if not load.data:
            load.data, load.lines = self._read(header)
        with self._directory.replacing(self._name) as write:
            chunk, room = bytearray(header), _MOST_BYTES - len(header)
            for line in load.lines_to_keep():
                room -= len(line)
                if room < 0:
                    break
                chunk += line
                if len(chunk) >= _CHUNK:
                    write(chunk)
                    chunk.clear()
                yield
            write(chunk)
        self._directory.keep_newest(_SUFFIX, _MOST_FILES)


def _checksum(data: bytes) -> bytes:
    return blake2b(data, digest_size=_CHECKSUM_BYTES).hexdigest().encode()


def _digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=_DIGEST_BYTES).hexdigest().encode()
