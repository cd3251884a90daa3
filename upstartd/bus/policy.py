"""Who may call what: one table, one decision.

Not responsible for who gets a connection at all (listener.py, and the bus's own policy in
dbus/com.ubuntu.Upstart.conf). Source: events specification, section 1, "Permission"; lifecycle specification,
section 2; design, Security.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from upstartd.bus.interfaces import INSTANCE, INTROSPECTABLE, JOB, MANAGER, PEER, PROPERTIES
from upstartd.errors import PermissionDenied

if TYPE_CHECKING:
    from upstartd.bus.host import DaemonHost
    from upstartd.bus.interfaces import Member


@dataclass(frozen=True, slots=True)
class Rule:
    """Who may use a method.

    `privilege` completes "You do not have permission to", where only root may; `{}` in it is the job or instance
    in question. None: anybody may. `refused_as_pid_1` is what everybody is told by process 1. `in_chroot`: it has its
    effect in chroot sessions too, which are not to change anything of the daemon itself.
    """

    privilege: str | None
    refused_as_pid_1: str | None = None
    in_chroot: bool = True


FREE = Rule(None)
_MODIFIES_JOB = Rule("modify job: {}")
_EMITS = Rule("emit an event")
_QUERIES_ENVIRONMENT = Rule("query job environment")
_MODIFIES_ENVIRONMENT = Rule(
    "modify job environment", "Not permissible to modify PID 1 job environment", in_chroot=False
)

METHOD_RULES: dict[Member, Rule] = {
    (MANAGER, "ReloadConfiguration"): Rule("reload configuration"),
    (MANAGER, "GetJobByName"): FREE,
    (MANAGER, "GetAllJobs"): FREE,
    (MANAGER, "GetState"): Rule("request state", in_chroot=False),
    (MANAGER, "Restart"): Rule("request restart", in_chroot=False),
    (MANAGER, "EmitEvent"): _EMITS,
    (MANAGER, "EmitEventWithFile"): _EMITS,
    (MANAGER, "GetEnv"): _QUERIES_ENVIRONMENT,
    (MANAGER, "ListEnv"): _QUERIES_ENVIRONMENT,
    (MANAGER, "SetEnv"): _MODIFIES_ENVIRONMENT,
    (MANAGER, "SetEnvList"): _MODIFIES_ENVIRONMENT,
    (MANAGER, "UnsetEnv"): _MODIFIES_ENVIRONMENT,
    (MANAGER, "UnsetEnvList"): _MODIFIES_ENVIRONMENT,
    (MANAGER, "ResetEnv"): _MODIFIES_ENVIRONMENT,
    (MANAGER, "NotifyDiskWriteable"): Rule("notify disk is writeable", in_chroot=False),
    (MANAGER, "NotifyDBusAddress"): Rule(
        "notify D-Bus address", "Not permissible to notify D-Bus address for PID 1"
    ),
    (MANAGER, "NotifyCGroupManagerAddress"): Rule("notify cgroup manager address"),
    (MANAGER, "EndSession"): Rule("end session", in_chroot=False),
    (JOB, "GetInstance"): FREE,
    (JOB, "GetInstanceByName"): FREE,
    (JOB, "GetAllInstances"): FREE,
    (JOB, "Start"): _MODIFIES_JOB,
    (JOB, "Stop"): _MODIFIES_JOB,
    (JOB, "Restart"): _MODIFIES_JOB,
    (INSTANCE, "Start"): _MODIFIES_JOB,
    (INSTANCE, "Stop"): _MODIFIES_JOB,
    (INSTANCE, "Restart"): _MODIFIES_JOB,
    (INSTANCE, "Reload"): _MODIFIES_JOB,
    (PROPERTIES, "Get"): FREE,
    (PROPERTIES, "GetAll"): FREE,
    (PROPERTIES, "Set"): FREE,  # each property that can be set has a rule of its own
    (INTROSPECTABLE, "Introspect"): FREE,
    (PEER, "Ping"): FREE,
    (PEER, "GetMachineId"): FREE,
}

SET_RULES: dict[Member, Rule] = {(MANAGER, "log_priority"): Rule("set log priority")}


def check(
    rule: Rule | None, uid: int | None, daemon: DaemonHost, subject: str = "", *,
    in_chroot: bool = False, is_foreign: bool = False,
) -> None:  # fmt: skip
    """Raise PermissionDenied unless user `uid` may do what has this rule to the job or instance `subject`.

    What has no rule nobody may. `uid` None is a user that is not known. `in_chroot` tells that the call comes from a
    chroot session, `is_foreign` that the job is of another session than the caller.
    """
    if rule is None:
        raise PermissionDenied("You do not have permission to do that")
    if rule.privilege is not None and (is_foreign or (daemon.only_root_may_change and uid != 0)):
        raise PermissionDenied(f"You do not have permission to {rule.privilege.format(subject)}")
    if in_chroot and not rule.in_chroot:
        return  # It is allowed, as it does nothing.
    if rule.refused_as_pid_1 is not None and daemon.is_pid_1:
        raise PermissionDenied(rule.refused_as_pid_1)


def depends_on_the_caller(member: Member, daemon: DaemonHost) -> bool:
    """Whether one has to know who calls this method to say whether they may. `member` may be any names."""
    return daemon.only_root_may_change and (METHOD_RULES.get(member) is not FREE or member == (PROPERTIES, "Set"))
