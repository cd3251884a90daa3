"""The user sessions that have announced themselves by a file: who runs, and at which address.

Source: clients specification, section 2, list-sessions; runtime specification, 7.2; design, 35.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

from upstartd_clients.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Mapping


class Session(NamedTuple):
    """A session file: the daemon's pid, the address it says, and whether that process exists."""

    pid: int
    address: str
    path: str
    alive: bool


def find_sessions(environ: Mapping[str, str]) -> list[Session]:
    """Every session that has a file below XDG_RUNTIME_DIR, by pid; LocalError where there is no such place."""
    runtime = environ.get("XDG_RUNTIME_DIR")
    if runtime is None:
        raise LocalError("Unable to query session directory")
    if not os.path.isabs(runtime):
        return []  # As the XDG base directory specification says, such a value is as good as none.
    directory = os.path.join(runtime, "upstart/sessions")
    try:
        names = os.listdir(directory)
    except OSError:
        raise LocalError("unable to determine sessions") from None
    found = []
    for name in names:
        if match := re.fullmatch(r"([0-9]+)\.session", name):
            path = os.path.join(directory, name)
            if address := _address_in(path):
                found.append(Session(int(match[1]), address, path, _is_alive(int(match[1]))))
    return sorted(found)


def _address_in(path: str) -> str:
    """The address that a session file says; empty if it says none."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            name, _, address = file.readline(4096).rstrip("\n").partition("=")
    except OSError:
        return ""  # It has gone with its session, or is somebody else's: no session of ours either way.
    return address if name == "UPSTART_SESSION" else ""


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return pid > 0  # 0 would be our own process group
