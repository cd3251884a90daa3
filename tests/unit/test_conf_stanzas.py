"""What each stanza means, and what its repetition does: configuration specification, section 3."""

from __future__ import annotations

import signal
from dataclasses import fields, replace
from typing import Any

import pytest

from upstartd.conf.model import (
    Command,
    Console,
    ControlGroup,
    EventPattern,
    Expect,
    JobConfig,
    ProcessName,
    ProcessSettings,
    ResourceLimit,
    RespawnLimit,
)
from upstartd.conf.parser import parse
from upstartd.conf.stanzas import RESOURCES, STANZA_LINE, STANZAS, Repeated, Scope


def read(text: str, base: JobConfig | None = None) -> JobConfig:
    """The definition that a valid text makes, of nothing or of `base`."""
    parsed = parse(text, "job.conf") if base is None else parse(text, "job.override", base)
    assert parsed.config is not None, parsed.diagnostics
    return parsed.config


def settings(**changed: Any) -> JobConfig:
    return JobConfig(settings=ProcessSettings(**changed))


def runs(process: ProcessName, text: str, *, script: bool = False) -> JobConfig:
    return JobConfig(processes={process: Command(text, script=script)})


def limits(*values: tuple[str, int | None, int | None]) -> JobConfig:
    return settings(limits=tuple(ResourceLimit(*value) for value in values))


def cgroups(*values: ControlGroup) -> JobConfig:
    return settings(cgroups=values)


A, B = EventPattern("a"), EventPattern("b")
MEANINGS = [
    ("", JobConfig()),
    ("description 'a b'", JobConfig(description="a b")),
    ("author a\nauthor b", JobConfig(author="b")),
    ("version 1", JobConfig(version="1")),
    ("usage u", JobConfig(usage="u")),
    ("instance $A\ninstance $B-$C", JobConfig(instance="$B-$C")),
    ("env A=1\nenv B\nenv A=2", JobConfig(env=("A=1", "B", "A=2"))),
    ("export A B\nexport C", JobConfig(export=("A", "B", "C"))),
    ("emits a b\nemits a", JobConfig(emits=("a", "b", "a"))),
    ("start on a\nstart on b", JobConfig(start_on=(B,))),
    ("stop on a\nstop on b", JobConfig(stop_on=(B,))),
    ("start on a\nstop on b\nmanual", JobConfig(stop_on=(B,))),
    ("manual\nstart on a", JobConfig(start_on=(A,))),
    ("start on b\nmanual start on a", JobConfig(start_on=(A,))),
    ("exec a b", runs(ProcessName.MAIN, "a b")),
    ("script\na\nend script\nexec b", runs(ProcessName.MAIN, "b")),
    ("exec b\nscript\na\nend script", runs(ProcessName.MAIN, "a\n", script=True)),
    ("script\nend script", runs(ProcessName.MAIN, "", script=True)),
    *((f"{process} exec a\n{process} exec b", runs(process, "b"))
      for process in ("pre-start", "post-start", "pre-stop", "post-stop")
      for process in [ProcessName(process)]),
    ("pre-start script # x\n  a\nend script", runs(ProcessName.PRE_START, "a\n", script=True)),
    ("pre-stop exec x", runs(ProcessName.PRE_STOP, "x")),
    *((f"expect {expect}", JobConfig(expect=expect)) for expect in Expect),
    ("expect stop\nexpect 'fork'", JobConfig(expect=Expect.FORK)),
    ("task\ntask", JobConfig(task=True)),
    ("respawn # for ever", JobConfig(respawn=True)),
    ("respawn limit 3 20", JobConfig(respawn_limit=RespawnLimit(3, 20))),
    ("respawn limit unlimited", JobConfig(respawn_limit=RespawnLimit(0, 0))),
    ("respawn limit 1 2\nrespawn limit +4 00", JobConfig(respawn_limit=RespawnLimit(4, 0))),
    ("normal exit 0 1 TERM\nnormal exit SIGHUP 1", JobConfig(
        normal_exit_statuses=frozenset({0, 1}), normal_exit_signals=frozenset({signal.SIGTERM, signal.SIGHUP}))),
    ("kill timeout 0", JobConfig(kill_timeout=0)),
    ("kill timeout 20\nkill timeout '30'", JobConfig(kill_timeout=30)),
    ("kill signal INT", JobConfig(kill_signal=signal.SIGINT)),
    ("kill signal SIGPOLL", JobConfig(kill_signal=signal.SIGIO)),
    ("kill signal 200", JobConfig(kill_signal=200)),
    ("reload signal USR2", JobConfig(reload_signal=signal.SIGUSR2)),
    *((f"console {console}", settings(console=console)) for console in Console),
    ("umask 027", settings(umask=0o027)),
    ("umask 777", settings(umask=0o777)),
    ("nice -20\nnice 19", settings(nice=19)),
    ("oom score -1000", settings(oom_score=-1000)),
    ("oom score never", settings(oom_score=-1000)),
    ("oom 'score' 1000", settings(oom_score=1000)),
    ("oom never", settings(oom_score=-1000)),
    ("oom -17", settings(oom_score=-1000)),
    ("oom -16", settings(oom_score=-941)),
    ("oom -1", settings(oom_score=-58)),
    ("oom 0", settings(oom_score=0)),
    ("oom 1", settings(oom_score=66)),
    ("oom 15", settings(oom_score=1000)),
    ("oom 15\noom score 900", settings(oom_score=900)),
    *((f"limit {name} 1 2", limits((name, 1, 2))) for name in RESOURCES),
    ("limit core unlimited -1", limits(("core", None, None))),
    ("limit nofile 1 2\nlimit core 0 0\nlimit 'nofile' 60 unlimited", limits(("nofile", 60, None), ("core", 0, 0))),
    ("limit as 9223372036854775807 unlimited", limits(("as", 2**63 - 1, None))),
    ("chroot a\nchroot b", settings(chroot="b")),
    ("chdir /", settings(chdir="/")),
    ("setuid nobody", settings(setuid="nobody")),
    ("setgid nogroup", settings(setgid="nogroup")),
    ("apparmor load /p", JobConfig(apparmor_load="/p")),
    ("apparmor switch p", settings(apparmor_switch="p")),
    ("cgroup memory", cgroups(ControlGroup("memory"))),
    ("cgroup cpu a/b", cgroups(ControlGroup("cpu", "a/b"))),
    ("cgroup memory limit 5", cgroups(ControlGroup("memory", None, "limit", "5"))),
    ("cgroup memory a limit 5\ncgroup cpu", cgroups(ControlGroup("memory", "a", "limit", "5"), ControlGroup("cpu"))),
    ("debug", settings(debug=True)),
    ("debug task", JobConfig(task=True, settings=ProcessSettings(debug=True))),
]


@pytest.mark.parametrize(("text", "config"), MEANINGS)
def test_a_stanza_means(text: str, config: JobConfig) -> None:
    assert read(text) == config


@pytest.mark.parametrize(("text", "message"), [
    *((f"{name}{missing}", "Expected token") for name in (
        "description", "instance", "env", "export", "emits", "exec", "pre-start exec", "start", "stop", "pre-start",
        "normal", "normal exit", "kill", "kill timeout", "kill signal", "reload", "reload signal", "expect", "console",
        "umask", "nice", "oom", "oom score", "limit", "limit nofile", "limit nofile 1", "respawn limit",
        "respawn limit 1", "chroot", "chdir", "setuid", "setgid", "apparmor", "apparmor load", "cgroup")
      for missing in ("", " # x", " \\\n")),
    ("export A ''", "Expected token"),
    ("cgroup memory ''", "Expected token"),
    ("oom ''", "Expected token"),
    *((f"{stanza} x", "Unexpected token") for stanza in (
        "description a", "env A=1", "task", "respawn limit 1 2", "respawn limit unlimited", "kill timeout 1",
        "kill signal TERM", "expect fork", "console log", "umask 1", "nice 1", "oom 1", "oom score 1",
        "limit core 1 2", "cgroup a b c d", "script", "pre-stop script", "apparmor load a", "description a ''")),
    *((stanza, "Unknown stanza") for stanza in (
        "x", "Task", "'task'", "''", "env-x", "start when a", "start 'on' a", "kill softly", "kill 'timeout' 1",
        "respawn always", "respawn 'limit' 1 1", "respawn ''", "normal end", "reload x", "apparmor x", "pre-start x",
        "pre-start 'exec' x", "expect x", "console x", "limit x 1 2", "end script", "manual x", "debug x",
        "description\\\nx", "start ''")),
    *((f"kill timeout {value}", "Illegal interval, expected number of seconds")
      for value in ("-1", "x", "5s", "1.5", "0x1", "' 1'", "1_0", "٣", "2147483648", "9" * 5000)),
    ("respawn limit x 1", "Illegal limit, expected 'unlimited' or integer"),
    ("respawn limit 1 x", "Illegal interval, expected number of seconds"),
    ("respawn limit 1 unlimited", "Illegal interval, expected number of seconds"),
    ("normal exit 1 term", "Illegal exit status, expected integer"),
    ("normal exit SIGRTMIN", "Illegal exit status, expected integer"),
    ("normal exit -1", "Illegal exit status, expected integer"),
    ("kill signal -1", "Illegal signal status, expected integer"),
    ("kill signal SIGSIGTERM", "Illegal signal status, expected integer"),
    ("reload signal RTMIN", "Illegal signal status, expected integer"),
    ("umask 8", "Illegal file creation mask, expected octal integer"),
    ("umask -1", "Illegal file creation mask, expected octal integer"),
    ("umask 1000", "Illegal file creation mask, expected octal integer"),
    ("nice 20", "Illegal nice value, expected -20 to 19"),
    ("nice -21", "Illegal nice value, expected -20 to 19"),
    ("oom 16", "Illegal oom adjustment, expected -16 to 15 or 'never'"),
    ("oom -18", "Illegal oom adjustment, expected -16 to 15 or 'never'"),
    ("oom score 1001", "Illegal oom score adjustment, expected -999 to 1000 or 'never'"),
    ("oom score -1001", "Illegal oom score adjustment, expected -999 to 1000 or 'never'"),
    ("limit core -2 1", "Illegal limit, expected 'unlimited' or integer"),
    ("limit core 1 x", "Illegal limit, expected 'unlimited' or integer"),
    ("limit core 9223372036854775808 1", "Illegal limit, expected 'unlimited' or integer"),
])
def test_a_wrong_stanza_is_rejected(text: str, message: str) -> None:
    parsed = parse(text, "job.conf")
    assert parsed.config is None
    assert parsed.diagnostics[0].message == message


BASE = """
description conf
author conf
start on a
stop on b
emits one
env A=1
export A
limit nofile 1 2
limit core 3 4
cgroup cpu
normal exit 1 TERM
script
  true
end script
pre-start exec true
nice 5
kill timeout 20
"""


@pytest.mark.parametrize(("text", "changed"), [
    ("", {}),
    ("description over", {"description": "over"}),
    ("manual", {"start_on": ()}),
    ("start on b", {"start_on": (B,)}),
    ("emits two", {"emits": ("one", "two")}),
    ("env A=2\nenv B=1", {"env": ("A=1", "A=2", "B=1")}),
    ("export B", {"export": ("A", "B")}),
    ("normal exit 2 HUP", {"normal_exit_statuses": {1, 2}, "normal_exit_signals": {signal.SIGTERM, signal.SIGHUP}}),
    ("kill timeout 1", {"kill_timeout": 1}),
    ("task", {"task": True}),
])
def test_an_override_replaces_or_adds(text: str, changed: dict[str, Any]) -> None:
    base = read(BASE)
    assert read(text, base) == replace(base, **changed)


def test_an_override_changes_processes_and_their_settings_one_by_one() -> None:
    base = read(BASE)
    config = read("exec other\nlimit nofile 5 6\ncgroup memory\nnice 3\nchdir /tmp", base)
    assert config.processes == {ProcessName.MAIN: Command("other"), ProcessName.PRE_START: Command("true")}
    assert config.settings == ProcessSettings(
        limits=(ResourceLimit("nofile", 5, 6), ResourceLimit("core", 3, 4)),
        cgroups=(ControlGroup("cpu"), ControlGroup("memory")), nice=3, chdir="/tmp")
    assert replace(config, processes=base.processes, settings=base.settings) == base
    assert base == read(BASE)


def test_the_table_can_be_used_as_documentation() -> None:
    assert len({stanza.name for stanza in STANZAS}) == len(STANZAS)
    job, process = ({field.name for field in fields(of)} for of in (JobConfig, ProcessSettings))
    for stanza in STANZAS:
        assert stanza.usage.startswith(stanza.name)
        assert stanza.help.endswith(".")
        assert stanza.field in (process if stanza.scope is Scope.PROCESS else job)
        assert STANZA_LINE.match(stanza.usage)
    named = {stanza.field for stanza in STANZAS}
    assert job | process == named | {"settings", "normal_exit_signals"}


@pytest.mark.parametrize("stanza", [stanza for stanza in STANZAS if stanza.repeated is Repeated.ADDS],
                         ids=lambda stanza: stanza.name)
def test_what_the_table_says_adds_does_add(stanza: Any) -> None:
    first, second = read(f"{stanza.name} 1"), read(f"{stanza.name} 1\n{stanza.name} 2")
    lengths = [len(getattr(config.settings if stanza.scope is Scope.PROCESS else config, stanza.field))
               for config in (first, second)]
    assert lengths == [1, 2]
