"""Paths below a directory, and which of them are below one of its directories: told without looking at the others.

Not responsible for what the paths stand for, nor for the disk.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Paths:
    """A set of relative paths, "a/b/c"."""

    # What lies directly in each directory: the paths themselves, and the directories (False) that lead to them.
    _entries: dict[str, dict[str, bool]] = field(default_factory=dict)

    def add(self, path: str) -> None:
        """Have the path among them."""
        itself = True
        while path:
            parent = _parent(path)
            entries = self._entries.setdefault(parent, {})
            is_known = path in entries
            entries[path] = itself or entries.get(path, False)
            if is_known:
                return
            path, itself = parent, False

    def discard(self, path: str) -> None:
        """Have the path not among them any more."""
        entries = self._entries.get(_parent(path), {})
        if path in entries:
            entries[path] = False
        # The directories that led to it go as well, up to one that is there for something else.
        while path and path not in self._entries and entries.get(path) is False:
            del entries[path]
            path = _parent(path)
            if not entries:
                del self._entries[path]
            entries = self._entries.get(_parent(path), {})

    def below(self, directory: str) -> list[str]:
        """The paths below a directory, "" being all. What lies in one directory is in the order in which it came."""
        found = []
        # Not recursion but a list of what is still to be looked at, the next one last: depth is no matter.
        ahead = list(reversed(self._entries.get(directory, {}).items()))
        while ahead:
            path, itself = ahead.pop()
            if itself:
                found.append(path)
            ahead += reversed(self._entries.get(path, {}).items())
        return found


def _parent(path: str) -> str:
    return path.rpartition("/")[0]
