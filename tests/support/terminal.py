"""Running a command with a terminal as its standard descriptors."""

from __future__ import annotations

import errno
import os
import pty
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def run_in_terminal(command: Sequence[str], environ: Mapping[str, str], typed: str = "") -> tuple[int, str]:
    """The exit status of `command`, and all that stood on its terminal (lines end in CR LF, as there).

    `typed` is what somebody has typed before it asks for anything.
    """
    ours, theirs = pty.openpty()
    try:
        os.write(ours, typed.encode())
        with subprocess.Popen(command, env=dict(environ), stdin=theirs, stdout=theirs, stderr=theirs) as process:
            os.close(theirs)
            written = b""
            while True:
                try:
                    piece = os.read(ours, 4096)
                except OSError as error:
                    if error.errno != errno.EIO:  # EIO: the last one who held the other side has closed it
                        raise
                    break
                if not piece:
                    break
                written += piece
        return process.returncode, written.decode()
    finally:
        os.close(ours)
