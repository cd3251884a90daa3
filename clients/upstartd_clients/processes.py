"""What /proc tells of processes: what they are called, when they began, and whether the first of them is upstartd.

Not responsible for the processes of jobs, of which the daemon tells. Source: proc(5), unix(7).
"""

from __future__ import annotations

import os
import struct
import time

from upstartd_clients.connect import PRIVATE_ADDRESS

DAEMON = "upstartd"  # what its file is called, and so what the kernel calls its process

_SYSTEM_SOCKET = PRIVATE_ADDRESS.removeprefix("unix:abstract=")
_CREDENTIALS = struct.Struct("iII")  # pid, uid, gid: struct ucred, unix(7)


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


def first_is_upstartd(proc: str = "/proc", socket_name: str = _SYSTEM_SOCKET) -> bool:
    """Whether process 1 is our daemon: by its command line, or as it is who listens on the daemon's own socket.

    By the first, it may have been started under its own name, by a link such as /sbin/init, or as a module.
    """
    # A script's interpreter comes before it.
    words = (_text(f"{proc}/1/cmdline") or "").split("\0")
    return words[1:3] == ["-m", DAEMON] or any(
        os.path.basename(os.path.realpath(word)) == DAEMON for word in words[:2] if word.startswith("/")
    ) or _listener(socket_name) == 1


def _listener(name: str) -> int:
    """The process that listens on a socket of that name in the abstract namespace; 0 if there is none to be seen."""
    import socket  # rarely needed, and it takes time to import

    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(f"\0{name}")
        except OSError:
            return 0
        pid: int = _CREDENTIALS.unpack(probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))[0]
        return pid


def _text(path: str) -> str | None:
    """What a file of /proc says; None if it cannot be read, as when its process has gone."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return None
