"""Whether AppArmor profiles are loaded and switched to at all.

Where they are not, the stanzas for it mean nothing, and nobody is told. Not responsible for doing either: a profile is
loaded by a process of the job's (engine/lifecycle.py) and switched to by the main process itself (setup.py). Source:
runtime specification, 5.3.
"""

from __future__ import annotations

import os

_ENABLED = "sys/module/apparmor/parameters/enabled"
_PARSER = "sbin/apparmor_parser"
_CONTAINER = "run/container_type"  # in a container, profiles are the host's affair


def is_in_use(root: str = "/") -> bool:
    """Whether the kernel has it, its parser is there, and this is no container; `root` is where that is looked for."""
    try:
        with open(os.path.join(root, _ENABLED), "rb") as file:
            enabled = file.read(1) == b"Y"
    except OSError:
        return False
    is_container = os.path.lexists(os.path.join(root, _CONTAINER))
    return enabled and not is_container and os.access(os.path.join(root, _PARSER), os.X_OK)
