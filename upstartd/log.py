"""The daemon's own diagnostics: priorities, and where each goes.

Not responsible for the output of jobs. Source: runtime specification, section 2.
"""

from __future__ import annotations

import enum
import sys
from typing import TextIO


class Priority(enum.IntEnum):
    """How much a diagnostic matters, from chatty to quiet; the name in lower case is its name on the bus."""

    DEBUG = 0
    INFO = 1
    MESSAGE = 2
    WARN = 3
    ERROR = 4
    FATAL = 5

    @property
    def word(self) -> str:
        """The name as the `log_priority` property has it."""
        return self.name.lower()

    @classmethod
    def from_word(cls, word: str) -> Priority:
        """The priority called `word`, exactly so spelt; ValueError where there is none."""
        for priority in cls:
            if priority.word == word:
                return priority
        raise ValueError(word)


class Log:
    """Writes diagnostics of `priority` and higher: warnings and worse to `err`, the others to `out`.

    Neither stream is ever waited for: what the daemon says must not stop what it does.
    """

    def __init__(self, priority: Priority = Priority.MESSAGE, out: TextIO | None = None,
                 err: TextIO | None = None) -> None:
        self.priority = priority
        self._out = out if out is not None else sys.stdout
        self._err = err if err is not None else sys.stderr

    def wants(self, priority: Priority) -> bool:
        """Whether a diagnostic of this priority would be written."""
        return priority >= self.priority

    def write(self, priority: Priority, text: str) -> None:
        """Write one diagnostic, if its priority is high enough."""
        if priority < self.priority:
            return
        if priority >= Priority.WARN:
            # A first word that ends in a colon is a place (PATH:LINE:); the prefix joins it.
            first = text.partition(" ")[0]
            stream, line = self._err, f"init:{text}" if first.endswith(":") else f"init: {text}"
        else:
            stream, line = self._out, text
        try:
            stream.write(line.encode("utf-8", "replace").decode() + "\n")
            stream.flush()
        except (OSError, ValueError):
            # Nobody is left to be told: the log is the only place that could say so.
            return

    def debug(self, text: str) -> None:
        """Write `text` as a debug message."""
        self.write(Priority.DEBUG, text)

    def info(self, text: str) -> None:
        """Write `text` as information."""
        self.write(Priority.INFO, text)

    def warn(self, text: str) -> None:
        """Write `text` as a warning."""
        self.write(Priority.WARN, text)

    def error(self, text: str) -> None:
        """Write `text` as an error."""
        self.write(Priority.ERROR, text)
