"""Signals as clients get them: what they mean, whose they are, and what is kept of them."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from upstartd_clients import signals
from upstartd_clients.errors import BadAnswer, ConnectionLost
from upstartd_clients.interface import INSTANCE, JOB, MANAGER, Status
from upstartd_clients.messages import BUS, RawSignal
from upstartd_clients.signals import (
    SIGNALS,
    EventEmitted,
    Following,
    GoalChanged,
    InstanceRemoved,
    JobRemoved,
    StateChanged,
    is_in,
    reaches,
    signal_of,
)

NAME = "com.ubuntu.Upstart"
TTY_1 = "/com/ubuntu/Upstart/jobs/my_2dtty/_31"


def raw(interface: str, member: str, signature: str, *values: Any,
        sender: str = ":1.1", path: str = TTY_1) -> RawSignal:
    return RawSignal(sender, path, interface, member, signature, values)


def state(word: str, sender: str = ":1.1") -> RawSignal:
    return raw(INSTANCE, "StateChanged", "s", word, sender=sender)


def owner_changed(old: str, new: str, name: str = NAME, sender: str = BUS) -> RawSignal:
    return raw(BUS, "NameOwnerChanged", "sss", name, old, new, sender=sender, path="/org/freedesktop/DBus")


def test_the_table_has_every_signal_of_the_interface() -> None:
    declared = {}
    for file in (Path(__file__).parents[2] / "dbus").glob("com.ubuntu.Upstart*.xml"):
        for interface in ET.parse(file).getroot().iter("interface"):
            for element in interface.iter("signal"):
                types = "".join(argument.attrib["type"] for argument in element.iter("arg"))
                declared[interface.attrib["name"], element.attrib["name"]] = types
    assert {key: signature for key, (signature, _, _) in SIGNALS.items()} == declared


def test_names_are_read_out_of_paths() -> None:
    assert signal_of(state("running")) == StateChanged("my-tty", "1", "running")
    assert signal_of(raw(JOB, "InstanceRemoved", "o", TTY_1)) == InstanceRemoved("my-tty", "1")
    assert signal_of(raw(MANAGER, "JobRemoved", "o", "/com/ubuntu/Upstart/jobs/web")) == JobRemoved("web")
    assert signal_of(raw(INSTANCE, "GoalChanged", "s", "stop", path="/com/ubuntu/Upstart/jobs/web/_")) == (
        GoalChanged("web", "", "stop"))


def test_what_is_not_of_the_interface_is_no_signal_of_the_daemon() -> None:
    assert signal_of(raw("com.example", "StateChanged", "s", "running")) is None
    assert signal_of(raw(INSTANCE, "Frobbed", "")) is None


@pytest.mark.parametrize("wrong", [
    raw(INSTANCE, "StateChanged", "i", 1),
    raw(INSTANCE, "StateChanged", "s", "running", path="/com/ubuntu/Upstart/jobs/web"),
    raw(JOB, "InstanceAdded", "o", "/com/ubuntu/Upstart/jobs/web"),
    raw(MANAGER, "JobAdded", "o", TTY_1),
])
def test_a_signal_that_is_not_as_the_interface_says_is_an_error(wrong: RawSignal) -> None:
    with pytest.raises(BadAnswer, match="cannot understand Upstart: signal"):
        signal_of(wrong)


def test_signals_of_different_kinds_are_never_equal() -> None:
    goal: object = GoalChanged("web", "", "stop")
    assert StateChanged("web", "", "stop") != goal


def following(owner: str = ":1.1") -> Following:
    found = Following(NAME)
    found.begin((owner,) if owner else ())
    return found


def test_only_the_daemon_s_own_signals_count_on_a_bus() -> None:
    one = following()
    one.take(state("forged", sender=":1.66"))
    one.take(state("running"))
    assert one.next() == StateChanged("my-tty", "1", "running")
    assert one.next() is None


def test_without_a_bus_nobody_else_can_send() -> None:
    one = following("")
    one.take(state("running", sender=""))
    assert one.next() == StateChanged("my-tty", "1", "running")


def test_what_came_before_the_beginning_is_old() -> None:
    one = Following(NAME)
    one.take(state("running"))
    one.take(owner_changed("", ":1.1"))
    one.begin((":1.1",))
    assert one.next() is None


def test_that_the_daemon_has_left_is_told_after_all_it_has_said() -> None:
    one = Following(NAME)
    one.take(owner_changed(":1.1", ""))  # as it comes together with the answer that begin() has
    one.begin((":1.1",))
    for _ in range(2):
        with pytest.raises(ConnectionLost, match="it has left the bus"):
            one.next()
    one = following()
    one.take(state("running"))
    one.take(owner_changed(":1.1", ":1.7"))
    one.take(state("late"))
    assert one.next() == StateChanged("my-tty", "1", "running")
    with pytest.raises(ConnectionLost):
        one.next()


@pytest.mark.parametrize("other", [
    owner_changed(":1.1", "", name="com.example.Other"), owner_changed(":1.1", "", sender=":1.66"),
])
def test_that_another_leaves_is_nothing_to_us(other: RawSignal) -> None:
    one = following()
    one.take(other)
    assert one.next() is None


def test_who_never_looks_is_told_so_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "MOST_KEPT", 3)
    one = following()
    for _ in range(5):
        one.take(raw(MANAGER, "EventEmitted", "sas", "x", []))
    assert [one.next() for _ in range(3)] == [EventEmitted("x", [])] * 3
    with pytest.raises(ConnectionLost, match="cannot follow Upstart: 3 signals wait"):
        one.next()


def test_an_instance_that_is_not_there_is_at_rest() -> None:
    assert is_in(None, "waiting")
    assert not is_in(None, "running")
    assert is_in(Status("web", "", "start", "running", []), "running")


def test_a_state_is_reached_by_its_own_instance_only() -> None:
    assert reaches(StateChanged("web", "", "running"), "web", "", "running")
    assert not reaches(StateChanged("web", "", "running"), "web", "", "waiting")
    assert not reaches(StateChanged("web", "1", "running"), "web", "", "running")
    assert reaches(InstanceRemoved("web", "1"), "web", "1", "waiting")
    assert not reaches(InstanceRemoved("web", "1"), "web", "1", "running")
    assert reaches(JobRemoved("web"), "web", "1", "waiting")
