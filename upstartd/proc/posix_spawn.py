"""posix_spawn(3) by its own name: os.posix_spawn() would leave two signals ignored in the child.

The C library keeps the signals 32 and 33 for itself: the functions by which os.posix_spawn() fills its sets refuse
them, and posix_spawn() has the child ignore what is in no set, which every program it runs inherits. Here
the sets are filled without being asked. Not responsible for what cannot be set up this way (setup.py).
"""

from __future__ import annotations

import ctypes
import os
from typing import TYPE_CHECKING

from upstartd.execve import strings

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_SETSIGDEF = 0x04  # spawn.h; so are the next two
_SETSIGMASK = 0x08
_SETSID = 0x80

# For the library's opaque types: larger than any of them is on any architecture, and aligned.
_Opaque = ctypes.c_uint64 * 128


class PosixSpawn:
    """Starts programs that lead a session of their own, with no signal ignored, handled or blocked."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        self._attributes = _Opaque()
        self._check(library.posix_spawnattr_init(self._attributes))
        flags = ctypes.c_short(_SETSIGDEF | _SETSIGMASK | _SETSID)
        self._check(library.posix_spawnattr_setflags(self._attributes, flags))
        every_signal, no_signal = _Opaque(*[2**64 - 1] * 128), _Opaque()
        self._check(library.posix_spawnattr_setsigdefault(self._attributes, every_signal))
        self._check(library.posix_spawnattr_setsigmask(self._attributes, no_signal))

    def __call__(
        self, program: bytes, argv: Sequence[bytes], env: Iterable[bytes], descriptors: Iterable[tuple[int, int]]
    ) -> int:
        """Start `program` with the descriptors (ours, theirs), where nothing else is open: the new pid, or OSError."""
        actions = _Opaque()
        self._check(self._library.posix_spawn_file_actions_init(actions))
        try:
            for pair in descriptors:
                self._check(self._library.posix_spawn_file_actions_adddup2(actions, *pair))
            pid = ctypes.c_int()
            self._check(self._library.posix_spawn(
                ctypes.byref(pid), program, actions, self._attributes, strings(argv), strings(env)
            ))  # fmt: skip
        finally:
            self._library.posix_spawn_file_actions_destroy(actions)
        return pid.value

    @staticmethod
    def _check(error: int) -> None:
        """These functions return their errno."""
        if error:
            raise OSError(error, os.strerror(error))
