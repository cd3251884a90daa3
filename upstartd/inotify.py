"""Making an inotify: the one place that knows what the library for it has to be told.

Not responsible for what is watched (conf/watch.py, bus/socket_watch.py). Source: inotify(7).
"""

from __future__ import annotations

import ctypes

import inotify_simple  # type: ignore[import-untyped]  # it comes without annotations


def make() -> inotify_simple.INotify:
    """A new inotify; reading from it never waits. Raises OSError where the kernel refuses one."""
    # Left to itself the library looks for the C library by running a program, which nobody here could reap.
    inotify_simple._libc = inotify_simple._libc or ctypes.CDLL(None, use_errno=True)
    return inotify_simple.INotify(nonblocking=True)
