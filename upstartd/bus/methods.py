"""What each method does: the one table of handlers, for every transport.

A handler gets the request, the object, and the arguments as plain values; it gives the method's value, or LATER
where the answer comes from elsewhere, or raises an UpstartdError. Whatever changes something is an input for the
engine; the rest reads it. Not responsible for permission or signatures, which are settled before (dispatch.py).
Source: events specification, sections 1 and 10 to 12; lifecycle specification, section 2.
"""

from __future__ import annotations

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dbus_next.signature import Variant

from upstartd.bus import policy
from upstartd.bus.interfaces import INSTANCE, INTROSPECTABLE, JOB, MANAGER, PEER, PROPERTIES, PROPERTIES_OF
from upstartd.bus.objects import instance_path, introspect, job_path
from upstartd.bus.properties import GETTERS, SETTERS
from upstartd.engine import inputs
from upstartd.errors import FileNotFound, InvalidArgs, OperationFailed, ReadOnlyProperty

if TYPE_CHECKING:
    from collections.abc import Callable

    from upstartd.bus.calls import Request
    from upstartd.bus.host import Host
    from upstartd.bus.interfaces import Member
    from upstartd.bus.objects import Target
    from upstartd.engine.instance import Instance
    from upstartd.engine.job_class import JobClass

_MACHINE_ID_FILES = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))


class Later(enum.Enum):
    """What a handler gives when the call is, or will be, answered through its Call."""

    LATER = enum.auto()


LATER: Final = Later.LATER

ObjectPath = str


# -- the manager ----------------------------------------------------------------------------------------------


def _reload_configuration(request: Request, host: Host) -> Later:
    host.reload_configuration(request.call.reply)
    return LATER


def _get_job_by_name(_: Request, host: Host, name: str) -> ObjectPath:
    if not name:
        raise InvalidArgs("Name may not be empty string")
    return job_path(host.engine.job_class(name).name, host.root)


def _get_all_jobs(_: Request, host: Host) -> list[ObjectPath]:
    return [job_path(name, host.root) for name in host.engine.classes]


def _get_state(_: Request, host: Host) -> str:
    return host.daemon.state_as_json()


def _restart_daemon(_: Request, host: Host) -> Later:
    host.daemon.restart()
    return LATER


def _emit_event(request: Request, host: Host, name: str, env: list[str], wait: bool) -> Later:
    host.submit(inputs.EmitEvent(name, tuple(env), wait, caller=request.call))
    return LATER


def _emit_event_with_file(request: Request, host: Host, name: str, env: list[str], wait: bool, file: int) -> Later:
    try:
        taken = request.take_file(file)
    except OSError as why:
        raise OperationFailed(why.strerror or str(why)) from why
    host.submit(inputs.EmitEvent(name, tuple(env), wait, taken, request.call))
    return LATER


def _get_env(_: Request, host: Host, job_details: list[str], name: str) -> str:
    return host.engine.get_variable(job_details, name)


def _list_env(_: Request, host: Host, job_details: list[str]) -> list[str]:
    return host.engine.list_variables(job_details)


def _set_env(request: Request, host: Host, job_details: list[str], variable: str, replace: bool) -> Later:
    return _set_env_list(request, host, job_details, [variable], replace)


def _set_env_list(request: Request, host: Host, job_details: list[str], variables: list[str], replace: bool) -> Later:
    host.submit(inputs.SetEnvironment(tuple(job_details), tuple(variables), replace, request.call))
    return LATER


def _unset_env(request: Request, host: Host, job_details: list[str], name: str) -> Later:
    return _unset_env_list(request, host, job_details, [name])


def _unset_env_list(request: Request, host: Host, job_details: list[str], names: list[str]) -> Later:
    host.submit(inputs.UnsetEnvironment(tuple(job_details), tuple(names), request.call))
    return LATER


def _reset_env(request: Request, host: Host, job_details: list[str]) -> Later:
    host.submit(inputs.ResetEnvironment(tuple(job_details), request.call))
    return LATER


def _notify_disk_writeable(_: Request, host: Host) -> None:
    host.daemon.disk_is_writeable()


async def _notify_dbus_address(_: Request, host: Host, address: str) -> None:
    await host.daemon.notify_dbus_address(address)


def _notify_cgroup_manager_address(_: Request, host: Host, address: str) -> None:
    """Accept the address and do nothing with it: there is no cgroup manager any more, the kernel is asked itself."""


def _end_session(request: Request, host: Host) -> Later | None:
    if host.daemon.is_pid_1:
        return None
    host.submit(inputs.EndSession("logout", request.call))
    return LATER


# -- jobs -----------------------------------------------------------------------------------------------------


def _instance_path(request: Request, instance: Instance) -> ObjectPath:
    return instance_path(instance.job_class.name, instance.name, request.host.root)


def _get_instance(request: Request, job: JobClass, env: list[str]) -> ObjectPath:
    return _instance_path(request, request.host.engine.find_instance(job.name, env))


def _get_instance_by_name(request: Request, job: JobClass, name: str) -> ObjectPath:
    return _instance_path(request, request.host.engine.instance_by_name(job.name, name))


def _get_all_instances(request: Request, job: JobClass) -> list[ObjectPath]:
    return [_instance_path(request, instance) for instance in job.instances.values()]


def _start_job(request: Request, job: JobClass, env: list[str], wait: bool) -> Later:
    request.host.submit(inputs.StartJob(job.name, tuple(env), wait, request.call))
    return LATER


def _stop_job(request: Request, job: JobClass, env: list[str], wait: bool) -> Later:
    request.host.submit(inputs.StopJob(job.name, tuple(env), wait, request.call))
    return LATER


def _restart_job(request: Request, job: JobClass, env: list[str], wait: bool) -> Later:
    request.host.submit(inputs.RestartJob(job.name, tuple(env), wait, request.call))
    return LATER


# -- instances ------------------------------------------------------------------------------------------------


def _start_instance(request: Request, instance: Instance, wait: bool) -> Later:
    request.host.submit(inputs.StartInstance(instance.job_class.name, instance.name, wait, request.call))
    return LATER


def _stop_instance(request: Request, instance: Instance, wait: bool) -> Later:
    request.host.submit(inputs.StopInstance(instance.job_class.name, instance.name, wait, request.call))
    return LATER


def _restart_instance(request: Request, instance: Instance, wait: bool) -> Later:
    request.host.submit(inputs.RestartInstance(instance.job_class.name, instance.name, wait, request.call))
    return LATER


def _reload_instance(request: Request, instance: Instance) -> Later:
    request.host.submit(inputs.ReloadInstance(instance.job_class.name, instance.name, request.call))
    return LATER


# -- what every object has ------------------------------------------------------------------------------------


def _own_interface(request: Request, interface_name: str) -> str | None:
    """The interface that has the object's properties, if the caller means it; an empty name means any."""
    own = request.node.interfaces[0]
    return own if interface_name in ("", own) else None


def _get_property(request: Request, target: Target, interface_name: str, property_name: str) -> Variant:
    interface = _own_interface(request, interface_name)
    declared = PROPERTIES_OF[interface].get(property_name) if interface else None
    if interface is None or declared is None:
        raise request.no_such_method()
    return Variant(declared.signature, GETTERS[interface][property_name](target))


def _set_property(request: Request, target: Target, interface_name: str, property_name: str, value: Variant) -> None:
    interface = _own_interface(request, interface_name)
    declared = PROPERTIES_OF[interface].get(property_name) if interface else None
    if interface is None or declared is None:
        raise request.no_such_method()
    if not declared.writable:
        raise ReadOnlyProperty(f"The {property_name} property is read-only")
    policy.check(policy.SET_RULES.get((interface, property_name)), request.call.uid, request.host.daemon)
    if value.signature != declared.signature:
        raise InvalidArgs(f"Invalid arguments to {property_name} property")
    SETTERS[interface, property_name](request.host, value.value)


def _get_all_properties(request: Request, target: Target, interface_name: str) -> dict[str, Variant]:
    interface = _own_interface(request, interface_name)
    if interface is None:
        return {}
    declared = PROPERTIES_OF[interface]
    return {name: Variant(declared[name].signature, get(target)) for name, get in GETTERS[interface].items()}


def _introspect(request: Request, _: Target | None) -> str:
    return introspect(request.node)


def _ping(_: Request, __: Target | None) -> None:
    """Be there."""


def _get_machine_id(_: Request, __: Target | None) -> str:
    for file in _MACHINE_ID_FILES:
        try:
            return file.read_text().strip()
        except OSError:
            continue
    raise FileNotFound("This machine has no id")


HANDLERS: dict[Member, Callable[..., Any]] = {
    (MANAGER, "ReloadConfiguration"): _reload_configuration,
    (MANAGER, "GetJobByName"): _get_job_by_name,
    (MANAGER, "GetAllJobs"): _get_all_jobs,
    (MANAGER, "GetState"): _get_state,
    (MANAGER, "Restart"): _restart_daemon,
    (MANAGER, "EmitEvent"): _emit_event,
    (MANAGER, "EmitEventWithFile"): _emit_event_with_file,
    (MANAGER, "GetEnv"): _get_env,
    (MANAGER, "ListEnv"): _list_env,
    (MANAGER, "SetEnv"): _set_env,
    (MANAGER, "SetEnvList"): _set_env_list,
    (MANAGER, "UnsetEnv"): _unset_env,
    (MANAGER, "UnsetEnvList"): _unset_env_list,
    (MANAGER, "ResetEnv"): _reset_env,
    (MANAGER, "NotifyDiskWriteable"): _notify_disk_writeable,
    (MANAGER, "NotifyDBusAddress"): _notify_dbus_address,
    (MANAGER, "NotifyCGroupManagerAddress"): _notify_cgroup_manager_address,
    (MANAGER, "EndSession"): _end_session,
    (JOB, "GetInstance"): _get_instance,
    (JOB, "GetInstanceByName"): _get_instance_by_name,
    (JOB, "GetAllInstances"): _get_all_instances,
    (JOB, "Start"): _start_job,
    (JOB, "Stop"): _stop_job,
    (JOB, "Restart"): _restart_job,
    (INSTANCE, "Start"): _start_instance,
    (INSTANCE, "Stop"): _stop_instance,
    (INSTANCE, "Restart"): _restart_instance,
    (INSTANCE, "Reload"): _reload_instance,
    (PROPERTIES, "Get"): _get_property,
    (PROPERTIES, "Set"): _set_property,
    (PROPERTIES, "GetAll"): _get_all_properties,
    (INTROSPECTABLE, "Introspect"): _introspect,
    (PEER, "Ping"): _ping,
    (PEER, "GetMachineId"): _get_machine_id,
}
