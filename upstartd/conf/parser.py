"""From the text of a job file to a JobConfig, or to everything that is wrong with it.

Not responsible for reading files, nor for which override belongs to which file (source.py). Source: configuration
specification, sections 2 and 6; design, 18 and 23.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

from upstartd.conf.diagnostics import Diagnostic, Fault, suggestion
from upstartd.conf.lexer import Lexer
from upstartd.conf.model import JobConfig
from upstartd.conf.stanzas import STANZA_LINE, Draft, read_stanza

EMPTY = JobConfig()
# A file with more errors than this is no job file, and its first errors say so.
MOST_DIAGNOSTICS = 50
# What is never closed may reach to the end of the file. What follows its first line is read again, as stanzas that may
# have been meant; but once wrong stanzas have had the whole text and this many characters, enough has been said.
_MOST_READ_AGAIN = 1 << 14
# The texts that have been read last are remembered if they are not longer than this.
_REMEMBERED = 8192


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a text says: a definition, or else (`config` None) the errors, in the order in which they were met.

    The reference stops at the first error and reports that alone.
    """

    config: JobConfig | None
    diagnostics: tuple[Diagnostic, ...] = ()


# What has the signature and the meaning of parse().
Parse: TypeAlias = Callable[[str, str, JobConfig], Parsed]


def parse(text: str, path: str, base: JobConfig = EMPTY) -> Parsed:
    """What `text`, which is that of the file `path`, makes of `base`: an override's base is its file's definition.

    `text` is decoded as UTF-8 with surrogateescape. No text raises anything. Equal texts are read once, if they are
    not too many or too long.
    """
    parsed = _parse_plain(text) if base is EMPTY and len(text) <= _REMEMBERED else _parse(text, base)
    if not parsed.diagnostics:
        return parsed
    return Parsed(None, tuple(replace(diagnostic, path=path) for diagnostic in parsed.diagnostics))


def _parse(text: str, base: JobConfig) -> Parsed:
    """The same, without a path in the diagnostics."""
    lexer, draft = Lexer(text), Draft(base)
    diagnostics: list[Diagnostic] = []
    left = len(text) + _MOST_READ_AGAIN
    while lexer.next_stanza() and len(diagnostics) < MOST_DIAGNOSTICS and left > 0:
        begin = lexer.position
        try:
            read_stanza(lexer, draft)
        except Fault as fault:
            diagnostics.append(_diagnostic(lexer, fault))
            left -= max(lexer.position, fault.offset or 0) - begin
            if fault.resume is None:
                lexer.skip_stanza(begin, STANZA_LINE)
            else:
                lexer.skip_to_line(fault.resume, STANZA_LINE)
    return Parsed(None, tuple(diagnostics)) if diagnostics else Parsed(draft.config())


@functools.lru_cache(maxsize=256)
def _parse_plain(text: str) -> Parsed:
    return _parse(text, EMPTY)


def _diagnostic(lexer: Lexer, fault: Fault) -> Diagnostic:
    offset = lexer.start if fault.offset is None else fault.offset
    line, column = lexer.place(offset)
    return Diagnostic("", line, column, fault.message, fault.found or lexer.found(offset), fault.expected,
                      suggestion(lexer.written(offset), fault.candidates))
