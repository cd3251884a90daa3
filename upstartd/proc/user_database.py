"""The databases of users and groups, by the C library's own functions and what they say when they fail.

The modules `pwd` and `grp` cannot tell a name that is not there from a database that cannot be read, and encode
names by the locale. Source: getpwnam(3), getgrnam(3); runtime specification, 5.4.
"""

from __future__ import annotations

import ctypes
import os
from ctypes import c_char_p, c_uint
from typing import Any, NamedTuple


class User(NamedTuple):
    """An entry of the user database."""

    name: bytes
    uid: int
    gid: int


class _Passwd(ctypes.Structure):
    """The beginning of struct passwd (pwd.h), which is the same everywhere on Linux."""

    _fields_ = (("name", c_char_p), ("password", c_char_p), ("uid", c_uint), ("gid", c_uint))


class _Group(ctypes.Structure):
    """The beginning of struct group (grp.h)."""

    _fields_ = (("name", c_char_p), ("password", c_char_p), ("gid", c_uint))


_library = ctypes.CDLL(None, use_errno=True)
_library.getpwnam.restype = _library.getpwuid.restype = ctypes.POINTER(_Passwd)
_library.getgrnam.restype = ctypes.POINTER(_Group)


def find_user(who: bytes | int) -> User | None:
    """The user of this name or id; None where there is none. OSError where the database cannot be asked."""
    entry = _ask("getpwuid", c_uint(who)) if isinstance(who, int) else _ask("getpwnam", _string(who))
    return None if entry is None else User(entry.name, entry.uid, entry.gid)


def find_group(name: bytes) -> int | None:
    """The id of the group of this name; None where there is none. OSError where the database cannot be asked."""
    entry = _ask("getgrnam", _string(name))
    return None if entry is None else int(entry.gid)


def _string(name: bytes) -> bytes:
    if b"\0" in name:
        raise ValueError("a name with a zero byte")
    return name


def _ask(function: str, about: bytes | c_uint) -> Any:
    """What a function of the library finds, None for nothing. It says only by errno whether it could look."""
    ctypes.set_errno(0)
    found = getattr(_library, function)(about)
    if found:
        return found.contents
    number = ctypes.get_errno()
    if number:
        raise OSError(number, os.strerror(number))
    return None
