"""upstart-monitor: what is shown of a signal, and which are (clients specification, section 4)."""

from __future__ import annotations

import io
import json
import re
from datetime import datetime

import pytest

from support.scripted_upstart import Ran
from upstartd_clients import connect, monitor, signals
from upstartd_clients.monitor import Filter, Texts
from upstartd_clients.output import Output, guarded
from upstartd_clients.signals import (
    EventEmitted,
    Failed,
    GoalChanged,
    InstanceAdded,
    InstanceRemoved,
    JobAdded,
    JobRemoved,
    Restarted,
    Signal,
    StateChanged,
)


def tint(text: str, colour: str) -> str:
    return f"<{colour}:{text}>" if colour else text


def line(signal: Signal, *, separator: str = "\t", jobs: bool = True) -> str | None:
    """What a line says behind its time."""
    text = Texts(separator, tint, jobs).line(signal)
    if text is None:
        return None
    time, found, rest = text.partition(separator)
    assert found
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}", time)
    return rest


@pytest.mark.parametrize(("signal", "text"), [
    (EventEmitted("boot", []), "<36:boot>"),
    (EventEmitted("net-up", ["IFACE=eth0", "NAME=", "LINE=a=b c"]), "<36:net-up IFACE='eth0' NAME='' LINE='a=b c'>"),
    (EventEmitted("x", ["A=one\ntwo\x1b[2J\x7f"]), r"<36:x A='one\x0atwo\x1b[2J\x7f'>"),
    (GoalChanged("web", "", "start"), "web goal start"),
    (StateChanged("web", "1", "pre-start"), "web (1) state pre-start"),
    (StateChanged("web", "", "running"), "<32:web state running>"),
    (Failed("web", "", 1), "<31:web failed, status 1>"),
    (InstanceAdded("web", "1"), "web (1) added"),
    (InstanceRemoved("web", "1"), "web (1) removed"),
    (JobAdded("web"), "web defined"),
    (JobRemoved("web"), "web not defined any more"),
    (Restarted(), "the daemon has executed itself anew"),
])
def test_every_signal_has_a_line(signal: Signal, text: str) -> None:
    assert line(signal) == text
    assert line(signal, separator=" | ") == text
    assert line(signal, jobs=False) == (text if isinstance(signal, EventEmitted) else None)


def test_there_is_a_line_for_all_signals_there_are() -> None:
    assert monitor._TEXTS.keys() == {kind for _, kind, _ in signals.SIGNALS.values()}


@pytest.mark.parametrize(("signal", "values"), [
    (EventEmitted("up", ["A=1", "B=x=y"]), {"signal": "EventEmitted", "name": "up", "env": {"A": "1", "B": "x=y"}}),
    (StateChanged("web", "1", "running"),
     {"signal": "StateChanged", "job": "web", "instance": "1", "state": "running"}),
    (Failed("web", "", 1), {"signal": "Failed", "job": "web", "instance": "", "status": 1}),
    (Restarted(), {"signal": "Restarted"}),
])
def test_as_json_a_signal_is_a_line_with_its_values_by_name(signal: Signal, values: dict[str, object]) -> None:
    text = monitor._as_json(signal)
    assert "\n" not in text
    told = json.loads(text)
    assert datetime.fromisoformat(told.pop("time")).tzinfo is not None
    assert told == values


STARTED = EventEmitted("started", ["JOB=web", "INSTANCE="])


@pytest.mark.parametrize(("signal", "events", "jobs", "shown"), [
    (EventEmitted("net-up", []), [], [], True),
    (StateChanged("web", "", "running"), [], [], True),
    (EventEmitted("net-up", []), ["net-*"], [], True),
    (EventEmitted("net-up", []), ["x", "net-?p"], [], True),
    (EventEmitted("net-up", []), ["net"], [], False),
    (EventEmitted("net-up", []), [], ["net-*"], False),
    (EventEmitted("net-up", ["JOB=web"]), [], ["web"], False),  # it is about no job, whatever its variables are called
    (STARTED, [], ["w*"], True),
    (STARTED, [], ["db"], False),
    (STARTED, ["started"], ["db"], True),
    (EventEmitted("started", []), [], ["*"], False),
    (StateChanged("web", "", "running"), ["net-*"], [], False),
    (StateChanged("web", "", "running"), ["net-*"], ["web"], True),
    (JobAdded("web"), [], ["web"], True),
    (JobAdded("db"), [], ["web"], False),
    (Restarted(), [], ["*"], False),
])
def test_a_filter_shows_what_one_of_its_patterns_asks_for(
        signal: Signal, events: list[str], jobs: list[str], shown: bool) -> None:
    assert Filter(events, jobs).has(signal) is shown


def run(*arguments: str, **environ: str) -> Ran:
    """Run it up to its end, which must be an error here."""
    out, err = io.StringIO(), io.StringIO()
    code = guarded(lambda output: monitor.run(arguments, environ, output), Output("upstart-monitor", out, err))
    return Ran(code, out.getvalue(), err.getvalue())


NOBODY = "unix:abstract=/upstartd/test/nobody"


@pytest.mark.parametrize(("arguments", "environ", "whom"), [
    ([], {}, "system bus"), ([], {"UPSTART_SESSION": ""}, "system bus"),
    ([], {"UPSTART_SESSION": NOBODY}, "Upstart"), (["-d", "session-socket"], {"UPSTART_SESSION": NOBODY}, "Upstart"),
    (["-d", "system-bus"], {"UPSTART_SESSION": NOBODY}, "system bus"),
    (["--destination=session-bus"], {}, "session bus"), (["-d", "system-socket"], {}, "Upstart"),
])
def test_the_destination_is_the_session_s_if_there_is_one_else_the_system_bus(
        monkeypatch: pytest.MonkeyPatch, arguments: list[str], environ: dict[str, str], whom: str) -> None:
    monkeypatch.setattr(connect, "PRIVATE_ADDRESS", NOBODY)
    buses = {"DBUS_SYSTEM_BUS_ADDRESS": NOBODY, "DBUS_SESSION_BUS_ADDRESS": NOBODY}
    code, out, err = run(*arguments, **buses, **environ)
    assert (code, out) == (1, "")
    assert err.startswith(f"upstart-monitor: Unable to connect to {whom}: ")


def test_what_makes_no_sense_is_an_error() -> None:
    for arguments, said in ((["-d", "moon"], "unknown destination: moon"), (["-x"], "invalid option: -x")):
        assert run(*arguments) == (
            1, "", f"upstart-monitor: {said}\nTry `upstart-monitor --help' for more information.\n")
    assert run("-d", "session-socket").err.startswith("upstart-monitor: UPSTART_SESSION isn't set")
    code, out, _ = run("--help")
    assert (code, out.splitlines()[0]) == (0, "Usage: upstart-monitor [OPTION]...")
