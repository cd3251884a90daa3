"""D-Bus values as clients read and write them, with jeepney as the other side."""

from __future__ import annotations

from typing import Any

import pytest
from jeepney import DBusAddress, Endianness, Parser, new_method_call

from upstartd_clients.errors import ClientError
from upstartd_clients.interface import METHODS
from upstartd_clients.values import UNREADABLE, read_values, split, write_values

ADDRESS = DBusAddress("/", bus_name="a.b", interface="a.b")
ORDERS = {"<": Endianness.little, ">": Endianness.big}
ANY_TYPE = "ybnqiuxtdsogva{sv}a(si)aasay(yx)a{ias}v"
ANY_VALUE = (
    1, True, -2, 3, -4, 5, -6, 7, 0.5, "é", "/o", "as", ("x", 8), {"k": ("u", 9), "": ("aas", [["a"], []])},
    [("main", 1), ("post-stop", -1)], [["a", "bc"], []], b"\0\1", (1, 2), {1: ["x"], -2: []},
    ("(sv)", ("a", ("b", False))),
)


def as_jeepney_writes(signature: str, values: tuple[Any, ...], endianness: Endianness = Endianness.little) -> bytes:
    message = new_method_call(ADDRESS, "M", signature, values)
    message.header.endianness = endianness
    data: bytes = message.serialise(serial=1)
    return data[len(data) - int.from_bytes(data[4:8], "little" if endianness is Endianness.little else "big"):]


def as_jeepney_reads(signature: str, body: bytes) -> Any:
    message = new_method_call(ADDRESS, "M", signature, ())
    message.header.body_length = len(body)
    parser = Parser()
    header = message.header.serialise(1)
    parser.add_data(header + bytes(-len(header) & 7) + body)
    return parser.get_next_message().body


# -- reading --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ORDERS)
def test_a_value_of_every_type_is_read_in_either_byte_order(order: str) -> None:
    data = as_jeepney_writes(ANY_TYPE, ANY_VALUE, ORDERS[order])
    values = read_values(ANY_TYPE, data, order)
    assert values == ANY_VALUE
    assert values[1] is True


@pytest.mark.parametrize("length", range(9))
def test_a_value_of_every_type_is_read_wherever_it_begins(length: int) -> None:
    for type_, value in zip(split(ANY_TYPE), ANY_VALUE, strict=True):
        signature, values = "y" * length + type_ + type_, (*range(length), value, value)
        assert read_values(signature, as_jeepney_writes(signature, values), "<") == values


def test_nothing_is_read_from_nothing() -> None:
    assert read_values("", b"", "<") == ()


@pytest.mark.parametrize(("signature", "body"), [
    ("s", b"\3\0\0\0abcd"),  # no NUL after it
    ("s", b"\3\0\0\0ab"),
    ("s", b"\1\0\0\0\xff\0"),
    ("s", b"\1\0\0\0a\0\0"),  # more than there should be
    ("", b"x"),
    ("u", b"\0\0\0"),
    ("as", b"\3\0\0\0\1\0\0\0a\0"),  # the element does not end where the array does
    ("as", b"\xff\xff\xff\xff"),
    ("ay", b"\2\0\0\0a"),
    ("g", b"\2as\1"),
    ("v", b"\1z\0\0"),
    ("v", b"\2ss\0\0\0\0\0\0\0\0\0"),
    ("v", b"\0\0"),
    ("v", b"\1v\0" * 20000),  # deeper than anybody can follow
    ("a{vs}", b"\x0d\0\0\0\0\0\0\0\2ay\0\1\0\0\0\1\0\0\0\0\0\0\0"),  # a key that is none
    ("a{sss}", b"\x16\0\0\0\0\0\0\0" + b"\1\0\0\0a\0\0\0" * 3),
    ("{sv}", bytes(8)),
    ("()", b""),
    ("(s", b"\1\0\0\0a\0"),
    ("s)(s", b"\1\0\0\0a\0\0\0\1\0\0\0a\0"),
    ("a", bytes(4)),
    ("a" * 2000 + "y", bytes(4)),
    ("z", b"\0"),
])
def test_a_body_that_is_not_what_it_claims_is_an_error(signature: str, body: bytes) -> None:
    with pytest.raises(UNREADABLE):
        read_values(signature, body, "<")


# -- writing --------------------------------------------------------------------------------------------------------


SAMPLES: dict[str, Any] = {"s": "é", "b": True, "as": ["a", "", "bcd"], "v": ("s", "debug")}


@pytest.mark.parametrize("takes", sorted({takes for takes, _ in METHODS.values()} - {""}))
def test_what_methods_take_is_read_by_jeepney(takes: str) -> None:
    values = tuple(SAMPLES[type_] for type_ in split(takes))
    assert as_jeepney_reads(takes, write_values(takes, values)) == values
    assert write_values(takes, values) == as_jeepney_writes(takes, values)


@pytest.mark.parametrize("texts", [[], ["a"], ["", ""], ["abc", "abcd", "é"]])
def test_arrays_are_written_with_what_they_need_between_elements(texts: list[str]) -> None:
    for signature, values in (("as", (texts,)), ("sasas", ("x", texts, texts)), ("aas", ([texts, [], texts],)),
                              ("av", ([("s", text) for text in texts],)), ("ab", ([True, False],))):
        assert write_values(signature, values) == as_jeepney_writes(signature, values)


@pytest.mark.parametrize("text", ["a\0b", "a\udcffb", "\ud800"])
def test_a_text_that_dbus_cannot_carry_is_refused(text: str) -> None:
    for signature, value in (("s", text), ("as", ["a", text]), ("v", ("s", text))):
        with pytest.raises(ClientError, match="D-Bus cannot carry it"):
            write_values(signature, (value,))


@pytest.mark.parametrize(("signature", "value"), [
    ("s", 5), ("s", b"x"), ("as", "abc"), ("as", [1]), ("as", {"a": "b"}), ("v", ("s", 5)),
])
def test_what_is_of_another_type_is_not_written(signature: str, value: object) -> None:
    with pytest.raises(TypeError):
        write_values(signature, (value,))


@pytest.mark.parametrize("values", [(), ("one",), ("one", "two", "three")])
def test_too_many_values_or_too_few_are_not_written(values: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="zip"):
        write_values("ss", values)
