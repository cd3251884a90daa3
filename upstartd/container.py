"""Whether this is a container, and whose.

Not responsible for what follows from that: process 1 of a container does less at its start, and ends where that
of a machine executes itself anew (pid1.py, daemon.py). Source: systemd's Container Interface, for the variable
`container` and the file below /run; what Docker and Podman leave in the root directory of theirs.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLE = "container"
_NAMED_BY = "run/systemd/container"
_MARKS = {".dockerenv": "docker", "run/.containerenv": "podman"}


def detect(environ: Mapping[str, str], root: str = "/") -> str | None:
    """The kind of container that this is (`docker`, `lxc`, ...); None where it is none.

    `environ` is what process 1 was given at exec; `root` is where its files are looked for.
    """
    if environ.get(VARIABLE):
        return environ[VARIABLE]
    try:
        with open(os.path.join(root, _NAMED_BY), encoding="utf-8", errors="replace") as file:
            return file.readline().strip() or VARIABLE
    except OSError:
        return next((kind for mark, kind in _MARKS.items() if os.path.exists(os.path.join(root, mark))), None)
