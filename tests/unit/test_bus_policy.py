"""Who may call what."""

from __future__ import annotations

import pytest

from support.bus_host import HostForTests
from upstartd.bus import interfaces, policy
from upstartd.errors import PermissionDenied

CHANGING = [member for member, rule in policy.METHOD_RULES.items() if rule is not policy.FREE]
FREE = [member for member, rule in policy.METHOD_RULES.items() if rule is policy.FREE]

WORDS = {
    "ReloadConfiguration": "reload configuration", "GetState": "request state", "Restart": "request restart",
    "EmitEvent": "emit an event", "EmitEventWithFile": "emit an event",
    "GetEnv": "query job environment", "ListEnv": "query job environment",
    "SetEnv": "modify job environment", "SetEnvList": "modify job environment",
    "UnsetEnv": "modify job environment", "UnsetEnvList": "modify job environment",
    "ResetEnv": "modify job environment",
    "NotifyDiskWriteable": "notify disk is writeable", "NotifyDBusAddress": "notify D-Bus address",
    "NotifyCGroupManagerAddress": "notify cgroup manager address", "EndSession": "end session",
}  # fmt: skip


def refusal(member: interfaces.Member, uid: int | None, host: HostForTests) -> str | None:
    try:
        policy.check(policy.METHOD_RULES[member], uid, host, "web (eth0)")
    except PermissionDenied as why:
        return why.message
    return None


@pytest.mark.parametrize("member", CHANGING, ids=".".join)
@pytest.mark.parametrize("uid", [1000, None])
def test_only_root_changes_a_system_instance(member: interfaces.Member, uid: int | None) -> None:
    host = HostForTests(only_root_may_change=True)
    words = WORDS[member[1]] if member[0] == interfaces.MANAGER else "modify job: web (eth0)"
    assert refusal(member, uid, host) == f"You do not have permission to {words}"
    assert refusal(member, 0, host) is None


@pytest.mark.parametrize("member", FREE, ids=".".join)
def test_anybody_may_look(member: interfaces.Member) -> None:
    assert refusal(member, None, HostForTests(only_root_may_change=True)) is None


@pytest.mark.parametrize("member", CHANGING, ids=".".join)
def test_a_users_instance_leaves_it_to_the_connection(member: interfaces.Member) -> None:
    assert refusal(member, None, HostForTests()) is None


def test_process_1_refuses_even_root_what_makes_no_sense_there() -> None:
    host = HostForTests(only_root_may_change=True, is_pid_1=True)
    refused = {member[1]: text for member in CHANGING if (text := refusal(member, 0, host))}
    environment = "Not permissible to modify PID 1 job environment"
    assert refused == {
        "SetEnv": environment, "SetEnvList": environment, "UnsetEnv": environment, "UnsetEnvList": environment,
        "ResetEnv": environment, "NotifyDBusAddress": "Not permissible to notify D-Bus address for PID 1",
    }  # fmt: skip


def test_what_has_no_rule_nobody_may() -> None:
    for host in (HostForTests(), HostForTests(only_root_may_change=True)):
        with pytest.raises(PermissionDenied):
            policy.check(None, 0, host)


def test_a_job_named_like_a_format_is_named_as_it_is() -> None:
    with pytest.raises(PermissionDenied, match=r"modify job: \{0\.__class__\}"):
        policy.check(policy.METHOD_RULES[interfaces.JOB, "Start"], 1, HostForTests(only_root_may_change=True),
                     "{0.__class__}")


@pytest.mark.parametrize(
    ("member", "matters"),
    [
        ((interfaces.MANAGER, "EmitEvent"), True),
        ((interfaces.MANAGER, "GetAllJobs"), False),
        ((interfaces.PROPERTIES, "Get"), False),
        ((interfaces.PROPERTIES, "Set"), True),
        (("", "EmitEvent"), True),
        (("no.such", "Method"), True),
    ],
)
def test_the_caller_is_asked_for_where_it_matters(member: interfaces.Member, matters: bool) -> None:
    assert policy.depends_on_the_caller(member, HostForTests(only_root_may_change=True)) == matters
    assert not policy.depends_on_the_caller(member, HostForTests())


# -- chroot sessions ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("only_root_may_change", [True, False])
@pytest.mark.parametrize("interface", [interfaces.JOB, interfaces.INSTANCE])
def test_nobody_changes_the_jobs_of_another_session(interface: str, *, only_root_may_change: bool) -> None:
    host = HostForTests(only_root_may_change=only_root_may_change)
    refused = {}
    for member in [member for member in policy.METHOD_RULES if member[0] == interface]:
        try:
            policy.check(policy.METHOD_RULES[member], 0, host, "web", is_foreign=True)
        except PermissionDenied as why:
            refused[member[1]] = why.message
    names = {"Start", "Stop", "Restart"} | ({"Reload"} if interface == interfaces.INSTANCE else set())
    assert refused == dict.fromkeys(names, "You do not have permission to modify job: web")


def test_what_concerns_the_daemon_itself_has_no_effect_in_a_chroot_session() -> None:
    assert {member[1] for member, rule in policy.METHOD_RULES.items() if not rule.in_chroot} == {
        "NotifyDiskWriteable", "Restart", "GetState", "EndSession",
        "SetEnv", "SetEnvList", "UnsetEnv", "UnsetEnvList", "ResetEnv",
    }  # fmt: skip


def test_process_1_does_not_refuse_what_has_no_effect_anyway() -> None:
    host = HostForTests(only_root_may_change=True, is_pid_1=True)
    rule = policy.METHOD_RULES[interfaces.MANAGER, "SetEnv"]
    policy.check(rule, 0, host, in_chroot=True)
    with pytest.raises(PermissionDenied, match="modify job environment"):
        policy.check(rule, 1000, host, in_chroot=True)
