"""What /proc tells of processes: what they are called, when they began, and whether the first of them is upstartd.

Not responsible for the processes of jobs, of which the daemon tells. Source: proc(5).
"""

from __future__ import annotations

import os
import time

DAEMON = "upstartd"  # what its file is called, and so what the kernel calls its process


def names(proc: str = "/proc") -> dict[int, str]:
    """What the kernel calls each process that can be seen, by pid."""
    found = {}
    for entry in os.listdir(proc) if os.path.isdir(proc) else ():
        if entry.isdigit() and (name := _text(f"{proc}/{entry}/comm")) is not None:
            found[int(entry)] = name.rstrip("\n")
    return found


def began(pid: int, proc: str = "/proc") -> float | None:
    """When a process was started, in seconds since the epoch; None if that cannot be seen."""
    stat = _text(f"{proc}/{pid}/stat")
    if stat is None:
        return None
    # The fields after the command, which is in parentheses and may hold any of them, begin with the third.
    ticks = int(stat.rpartition(")")[2].split()[22 - 3])
    booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return booted + ticks / os.sysconf("SC_CLK_TCK")


def first_is_upstartd(proc: str = "/proc") -> bool:
    """Whether process 1 is our daemon, under its own name, by a link such as /sbin/init, or as a module."""
    if _text(f"{proc}/1/comm") == f"{DAEMON}\n":
        return True
    # A script's interpreter comes before it.
    words = (_text(f"{proc}/1/cmdline") or "").split("\0")
    return words[1:3] == ["-m", DAEMON] or any(
        os.path.basename(os.path.realpath(word)) == DAEMON for word in words[:2] if word.startswith("/"))


def _text(path: str) -> str | None:
    """What a file of /proc says; None if it cannot be read, as when its process has gone."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return None
