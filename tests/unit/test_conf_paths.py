"""Which paths are below a directory."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from upstartd.conf.paths import Paths

PATHS = st.lists(st.sampled_from("ab"), min_size=1, max_size=4).map("/".join)


def test_the_paths_below_a_directory_are_told_as_they_came_what_is_in_one_together() -> None:
    paths = Paths()
    for path in ("b/x", "b/a/y", "c", "b/z", "b/a/x"):
        paths.add(path)
    assert paths.below("b") == ["b/x", "b/a/y", "b/a/x", "b/z"]
    assert paths.below("") == ["b/x", "b/a/y", "b/a/x", "b/z", "c"]
    assert paths.below("b/a") == ["b/a/y", "b/a/x"]
    assert paths.below("c") == paths.below("b/x") == paths.below("nothing") == []


def test_depth_is_no_matter() -> None:
    paths = Paths()
    deep = "/".join("a" * 1000)
    paths.add(deep)
    assert paths.below("a") == [deep]


@given(st.lists(st.tuples(st.booleans(), PATHS), max_size=20))
def test_what_is_below_each_directory_is_what_begins_with_it(changes: list[tuple[bool, str]]) -> None:
    paths = Paths()
    there: set[str] = set()
    for comes, path in changes:
        if comes:
            paths.add(path)
            there.add(path)
        else:
            paths.discard(path)
            there.discard(path)
        for directory in ("", "a", "b", "a/a", "a/b", "a/b/a"):
            below = paths.below(directory)
            assert len(below) == len(set(below))
            assert set(below) == {path for path in there if path.startswith(directory + "/" if directory else "")}
    for path in there:
        paths.discard(path)
    assert paths == Paths()
