"""Telling everybody who is logged in: a message on every user's terminal.

Not responsible for what there is to tell, nor for when. Source: utmp(5); clients specification, section 3.
"""

from __future__ import annotations

import os
import stat
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from upstartd import utmp

if TYPE_CHECKING:
    from collections.abc import Iterator

    from upstartd_clients.machine import Machine


def tell_everybody(text: str, machine: Machine, sender: str) -> None:
    """Write a message on the terminals of all users. One that cannot be written to now is left out."""
    at = time.strftime("%H:%M", time.localtime(machine.now()))
    message = f"\nBroadcast message from {sender} at {at}:\n\n{text}\n\n"
    data = message.replace("\n", "\r\n").encode("utf-8", "surrogateescape")
    for path in _terminals(machine):
        with suppress(OSError):
            # Somebody who has stopped their terminal must not stop us.
            file = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                if stat.S_ISCHR(os.fstat(file).st_mode) and os.isatty(file):
                    os.write(file, data)
            finally:
                os.close(file)


def _terminals(machine: Machine) -> Iterator[str]:
    """The devices of the terminals at which users are logged in."""
    try:
        records = utmp.records(machine.utmp)
    except OSError:
        return
    lines = {os.fsdecode(record.line.partition(b"\0")[0]) for record in records if record.kind == utmp.USER_PROCESS}
    for line in sorted(lines):
        # More programs than root's may write that file. A graphical session has a line that is no device.
        if line and not line.startswith((":", "/")) and ".." not in line.split("/"):
            yield os.path.join(machine.devices, line)
