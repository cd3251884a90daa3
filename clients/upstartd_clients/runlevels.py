"""Runlevels: which one the system is in, and going to another.

They live here, not in the daemon, for which they are an event like others. Source: clients specification, section 3;
utmp(5).
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from upstartd import utmp

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from upstartd_clients.machine import Machine
    from upstartd_clients.upstart import Upstart

NONE = "N"
ENDING = ("0", "6")  # the levels in which the system goes down


class Runlevel(NamedTuple):
    """The runlevel of now and the one before, each a character; NONE where there is none."""

    now: str
    before: str


def find(environ: Mapping[str, str], path: str) -> Runlevel:
    """The runlevel, as the environment has it, or else the records in the file `path`; an OSError if that cannot be
    read."""
    if "RUNLEVEL" in environ:
        return Runlevel(environ["RUNLEVEL"][:1] or NONE, environ.get("PREVLEVEL", "")[:1] or NONE)
    return _newest(path) or Runlevel(NONE, NONE)


def _newest(path: str) -> Runlevel | None:
    """What the newest record of a runlevel says; None if there is none, or it says that the system went down."""
    pids = [record.pid for record in utmp.records(path) if record.kind == utmp.RUN_LEVEL]
    return Runlevel(_level(pids[-1]), _level(pids[-1] >> 8)) if pids and pids[-1] else None


def _level(number: int) -> str:
    """The character that the lowest byte of a number is, if it can be a runlevel's; else NONE."""
    level = chr(number & 0xFF)
    return level if level.isascii() and level.isalnum() else NONE


def change(level: str, env: Iterable[str], environ: Mapping[str, str], upstart: Upstart, machine: Machine) -> None:
    """Go to another runlevel, with further variables for the event; errors are those of `upstart`.

    Where process 1 is not upstartd, the machine does not go anywhere: the records of runlevels are left alone.
    """
    try:
        before = find(environ, machine.utmp).now
    except OSError:
        before = NONE
    if machine.is_ours():
        _note(level, before, machine)
    upstart.emit("runlevel", [f"RUNLEVEL={level}", f"PREVLEVEL={before}", *env], wait=False)


def _note(level: str, before: str, machine: Machine) -> None:
    """Write the records that tell of a runlevel. A system may have no such files."""
    pid = ord(level) + 256 * (0 if before == NONE else ord(before))
    for path, write in ((machine.utmp, utmp.put), (machine.wtmp, utmp.append)):
        with suppress(OSError):
            newest = _newest(path)
            # There was no end in order, or it is another boot.
            if newest is None or newest.now != before:
                write(path, _record(utmp.BOOT_TIME, b"reboot", 0, machine))
            write(path, _record(utmp.RUN_LEVEL, b"runlevel", pid, machine))


def note_end(machine: Machine, *, everywhere: bool = True) -> None:
    """Write the record that tells that the system went down, to wtmp, and `everywhere` to utmp too, where these are."""
    record = _record(utmp.RUN_LEVEL, b"shutdown", 0, machine)
    with suppress(OSError):
        utmp.append(machine.wtmp, record)
    if everywhere:
        with suppress(OSError):
            utmp.put(machine.utmp, record)


def _record(kind: int, user: bytes, pid: int, machine: Machine) -> utmp.Record:
    return utmp.record(kind, machine.now(), pid=pid, line=b"~", identifier=b"~~", user=user,
                       host=os.uname().release.encode())
