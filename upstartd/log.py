"""The daemon's own diagnostics: priorities, and where each goes.

Not responsible for the output of jobs. Source: runtime specification, section 2.
"""

from __future__ import annotations

import enum
import os
import select
import traceback

from upstartd.errors import InternalError

# What a pipe that select() calls writeable takes without blocking (pipe(7), PIPE_BUF).
_CHUNK = 4096
# A record of the kernel's log has 1024 bytes at most, with its level and line end; a longer one is refused.
_RECORD = 1000


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
    """Writes diagnostics of `priority` and higher: warnings and worse to the descriptor `err`, the others to `out`.

    Neither is ever waited for, since what the daemon says must not stop what it does: a line that nobody takes
    is dropped, and the next one that goes out says how many were. From use_kernel_log() on there is one destination.
    """

    def __init__(self, priority: Priority = Priority.MESSAGE, out: int = 1, err: int = 2) -> None:
        self.priority = priority
        self._out = out
        self._err = err
        self._kernel_log: int | None = None
        self._dropped = 0

    def use_kernel_log(self, descriptor: int) -> None:
        """Write to the kernel's log from now on, which `descriptor` is (/dev/kmsg)."""
        self._kernel_log = descriptor

    def wants(self, priority: Priority) -> bool:
        """Whether a diagnostic of this priority would be written."""
        return priority >= self.priority

    def write(self, priority: Priority, text: str) -> None:
        """Write one diagnostic, if its priority is high enough."""
        if priority < self.priority:
            return
        if self._dropped and self._put(Priority.WARN, f"{self._dropped} diagnostics were dropped: nobody read them"):
            self._dropped = 0
        if not self._put(priority, text):
            self._dropped += 1

    def _put(self, priority: Priority, text: str) -> bool:
        if self._kernel_log is not None:
            return _record(self._kernel_log, priority, text)
        return _write(self._err, _prefixed(text)) if priority >= Priority.WARN else _write(self._out, text)

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

    def fault(self, what: BaseException | str) -> InternalError:
        """Write down a fault of ours: an exception, with where it came from, or what else is known of it.

        Gives the error for whoever called meanwhile, which is no more than the number that the log has for it.
        """
        number = os.urandom(4).hex()
        text = what if isinstance(what, str) else "".join(traceback.format_exception(what)).rstrip()
        self.error(f"Internal error {number}: {text}")
        return InternalError(f"Internal error {number}: the log of the daemon tells more")


def _prefixed(text: str) -> str:
    """A first word that ends in a colon is a place (PATH:LINE:), and the prefix joins it."""
    return f"init:{text}" if text.partition(" ")[0].endswith(":") else f"init: {text}"


def _record(descriptor: int, priority: Priority, text: str) -> bool:
    """Whether all of it went into the kernel's log, which has a level of its own for each priority."""
    lines = [_prefixed(line).encode("utf-8", "replace") for line in text.splitlines()]
    try:
        for record in (line[at : at + _RECORD] for line in lines for at in range(0, len(line), _RECORD)):
            os.write(descriptor, b"<%d>%s\n" % (7 - priority, record))
    except OSError:
        return False
    return True


def _write(descriptor: int, line: str) -> bool:
    """Whether the whole line went out without waiting."""
    data = line.encode("utf-8", "replace") + b"\n"
    poll = select.poll()
    try:
        poll.register(descriptor, select.POLLOUT)
        while data:
            if not any(event & select.POLLOUT for _, event in poll.poll(0)):
                return False
            data = data[os.write(descriptor, data[:_CHUNK]) :]
    except OSError:
        # A descriptor that is closed or broken: the log is the only place that could say so.
        return False
    return True
