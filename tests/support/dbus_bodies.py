"""Bodies of D-Bus messages as hypothesis makes them: types, and values of them as dbus-next takes them."""

from __future__ import annotations

from typing import Any

from dbus_next.signature import Variant
from hypothesis import strategies as st

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
PATHS = st.lists(st.from_regex(r"[A-Za-z0-9_]+", fullmatch=True), max_size=4).map(lambda parts: "/" + "/".join(parts))
BASIC: dict[str, st.SearchStrategy[Any]] = {
    "y": st.integers(0, 255), "b": st.booleans(), "n": st.integers(-(2**15), 2**15 - 1),
    "q": st.integers(0, 2**16 - 1), "i": st.integers(-(2**31) + 1, 2**31 - 1), "u": st.integers(0, 2**32 - 1),
    "x": st.integers(-(2**63) + 1, 2**63 - 1), "t": st.integers(0, 2**64 - 1),
    "d": st.floats(allow_nan=False), "s": TEXT, "o": PATHS, "h": st.integers(0, 2**32 - 1),
}  # fmt: skip


def variant_of(typed: tuple[str, Any]) -> tuple[str, Any]:
    return "v", Variant(*typed)


def array_of(typed: list[Any], kind: str) -> tuple[str, Any]:
    return "a" + kind, bytes(typed) if kind == "y" else typed


def struct_of(typed: list[tuple[str, Any]]) -> tuple[str, Any]:
    return f"({''.join(kind for kind, _ in typed)})", [value for _, value in typed]


def bodies(basic: str = "".join(BASIC)) -> st.SearchStrategy[list[tuple[str, Any]]]:
    """Types, and values of them, of any depth, with these basic types at the bottom."""
    basic_typed = st.sampled_from(basic).flatmap(lambda kind: BASIC[kind].map(lambda value: (kind, value)))
    arrays = st.sampled_from(basic).flatmap(
        lambda kind: st.lists(BASIC[kind], max_size=5).map(lambda values: array_of(values, kind)))
    dictionaries = st.dictionaries(TEXT, basic_typed.map(lambda typed: Variant(*typed)), max_size=4).map(
        lambda values: ("a{sv}", values))
    typed = st.recursive(
        st.one_of(basic_typed, arrays, dictionaries),
        lambda inner: st.one_of(
            inner.map(variant_of),
            st.lists(inner, min_size=1, max_size=3).map(struct_of),
            inner.map(lambda typed: ("a" + typed[0], [typed[1]] * 2) if typed[0] != "y" else ("ay", b"\1")),
        ),
        max_leaves=6,
    )
    return st.lists(typed, max_size=4)
