"""upstartd itself, which tells how many objects it has whenever it gets a signal for that.

    counting_daemon.py DESCRIPTOR ARGUMENT...

runs `upstartd ARGUMENT...`. At each signal it has the garbage collected, and writes a line to the descriptor: the
number of objects that the collector knows, and that of the blocks of memory in use, which strings and numbers are as
well. Nothing else is different, so what grows here grows in upstartd.
"""

from __future__ import annotations

import gc
import os
import signal
import sys

_SIGNAL = signal.SIGRTMIN + 7  # which means nothing to anybody


def command(descriptor: int) -> list[str]:
    """How to run it, as upstartd is run by its name. The descriptor is to be passed to it."""
    return [sys.executable, __file__, str(descriptor)]


def count(pid: int, descriptor: int) -> tuple[int, int]:
    """Have the daemon with this process id count its objects and blocks; `descriptor` is the other end of its own."""
    os.kill(pid, _SIGNAL)
    objects, blocks = map(int, os.read(descriptor, 100).split())
    return objects, blocks


def _tell(descriptor: int) -> None:
    gc.collect()
    objects = len(gc.get_objects()) + gc.get_freeze_count()
    os.write(descriptor, b"%d %d\n" % (objects, sys.getallocatedblocks()))


def _main() -> int:
    from upstartd.cli import main  # whoever only asks does without

    descriptor = int(sys.argv.pop(1))
    os.set_inheritable(descriptor, False)
    signal.signal(_SIGNAL, lambda *_: _tell(descriptor))
    return main()


if __name__ == "__main__":
    sys.exit(_main())
