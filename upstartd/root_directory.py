"""Paths as they are seen from another root directory: where they lead, with the links that are in there.

Not responsible for who has such a root (chroot_session.py). Source: path_resolution(7), chroot(2).
"""

from __future__ import annotations

import errno
import os

# As many links as the kernel itself follows in one path.
_MOST_LINKS = 40


def resolve(root: str, path: str) -> str:
    """Where a process whose root directory is `root` finds `path`, as the daemon has to call it.

    No link leads out of `root`. What is not there is called as `path` calls it. OSError (ELOOP) where links go round
    in a circle.
    """
    ahead = path.split("/")[::-1]
    found: list[str] = []
    links = 0
    while ahead:
        name = ahead.pop()
        if name == "..":
            del found[-1:]
        elif name not in ("", "."):
            found.append(name)
            try:
                target = os.readlink(os.path.join(root, *found))
            except OSError:
                continue  # it is no link
            links += 1
            if links > _MOST_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), os.path.join(root, path.lstrip("/")))
            found = [] if target.startswith("/") else found[:-1]
            ahead += target.split("/")[::-1]
    return os.path.join(root, *found)
