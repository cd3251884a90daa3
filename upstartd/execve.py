"""execve(2) with every environment that there can be: os.execve() takes none in which an entry has no name.

Not responsible for what is executed: proc/setup.py for processes of jobs, reexecution.py for the daemon itself.
"""

from __future__ import annotations

import ctypes
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import NoReturn

_library = ctypes.CDLL(None, use_errno=True)


def execve(program: bytes, argv: Iterable[bytes], entries: Iterable[bytes]) -> NoReturn:
    """Execute `program` with this environment, whatever its entries are like. Raises OSError."""
    _library.execve(program, strings(argv), strings(entries))
    number = ctypes.get_errno()
    raise OSError(number, os.strerror(number))


def strings(values: Iterable[bytes]) -> ctypes.Array[ctypes.c_char_p]:
    """An array of strings as exec takes it."""
    array = [*values, None]
    return (ctypes.c_char_p * len(array))(*array)
