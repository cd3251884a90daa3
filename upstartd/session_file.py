"""The session file: how a user's daemon tells where its private socket is.

One line, `UPSTART_SESSION=ADDRESS`, in a file called PID.session that `initctl list-sessions` reads. It is
written when the socket listens, and removed at an orderly end; it stays over a re-execution. Not responsible
for where it lies (places.py). Source: runtime specification, 7.2.
"""

from __future__ import annotations

import os

from upstartd.places import make_private_directory


class SessionFileError(Exception):
    """The file cannot be made, written or removed: a sentence for the log. The daemon works without it.

    The sentence does not say why; `reason` is the system's text for that.
    """

    def __init__(self, sentence: str, error: OSError) -> None:
        super().__init__(sentence)
        self.reason = error.strerror or str(error)


def write(path: str, address: str) -> None:
    """Make the session file at `path`, and its directories, for the socket `address`; SessionFileError if not.

    What is left of a file that could not be written says nothing to those who look for sessions.
    """
    try:
        make_private_directory(os.path.dirname(path))
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise SessionFileError(f"unable to create session file: {path}", error) from error
    try:
        with os.fdopen(file, "w") as stream:
            stream.write(f"UPSTART_SESSION={address}\n")
    except OSError as error:
        raise SessionFileError(f"unable to write session file: {path}", error) from error


def remove(path: str) -> None:
    """Remove the session file, if it is there; SessionFileError where that does not work."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise SessionFileError(f"unable to remove session file: {path}", error) from error
