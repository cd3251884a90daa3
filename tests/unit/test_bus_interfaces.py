"""What dbus/*.xml declares and what the daemon has: the same, both ways."""

from __future__ import annotations

import inspect
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_type_hints

import pytest
from dbus_next.signature import Variant

from upstartd.bus import announcements, interfaces, methods, objects, policy, properties
from upstartd.bus.dispatch import Dispatcher
from upstartd.bus.methods import HANDLERS, Later
from upstartd.engine import effects

TREE = Path(__file__).parents[2]
PYTHON_TYPES: dict[str, Any] = {
    "s": str, "o": str, "b": bool, "h": int, "v": Variant, "as": list[str], "ao": list[str],
    "a{sv}": dict[str, Variant], "": type(None),
}  # fmt: skip


def hints(handler: Any) -> dict[str, Any]:
    """The annotations of a handler; the names that are only there for type checkers are looked up here."""
    names = dict.fromkeys(("Request", "Host", "JobClass", "Instance", "Target"), Any)
    return get_type_hints(handler, {**vars(methods), **names})


def given(annotations: dict[str, Any]) -> set[Any]:
    """What a handler gives by itself; nothing if the engine always answers."""
    answer = annotations["return"]
    return {*(get_args(answer) if isinstance(answer, UnionType) else (answer,))} - {Later}


def test_the_files_are_those_of_the_tree() -> None:
    names = {path.name for path in (Path(interfaces.__file__).parent / "xml").glob("*.xml")}
    assert names == {path.name for path in (TREE / "dbus").glob("*.xml")}
    assert names
    assert not list((TREE / "dbus").glob("*.py")), "with a .py there, `import dbus` would find this directory"


def test_every_method_has_a_handler_and_a_rule_and_nothing_else_has() -> None:
    assert set(HANDLERS) == set(interfaces.METHODS)
    assert set(policy.METHOD_RULES) == set(interfaces.METHODS)


@pytest.mark.parametrize("member", interfaces.METHODS, ids=".".join)
def test_handlers_take_and_give_what_is_declared(member: interfaces.Member) -> None:
    declared, handler = interfaces.METHODS[member], HANDLERS[member]
    annotations = hints(handler)
    parameters = list(inspect.signature(handler).parameters)[2:]  # after the request and the object
    assert [annotations[name] for name in parameters] == [PYTHON_TYPES[kind] for _, kind in declared.inputs]
    assert given(annotations) <= {PYTHON_TYPES[declared.output]}


def test_what_is_answered_by_the_engine_gives_an_instance_or_nothing() -> None:
    outputs = {
        member: interfaces.METHODS[member].output
        for member, handler in HANDLERS.items()
        if given(hints(handler)) == set()
    }
    assert {member for member, output in outputs.items() if output} == {
        (interfaces.JOB, "Start"), (interfaces.JOB, "Restart"),
    }  # fmt: skip
    assert set(outputs.values()) == {"", "o"}


def test_every_property_can_be_read_and_the_writable_ones_set() -> None:
    declared = {name: members for name, members in interfaces.PROPERTIES_OF.items() if members}
    assert {name: set(getters) for name, getters in properties.GETTERS.items()} == {
        name: set(members) for name, members in declared.items()
    }
    writable = {(name, prop) for name, members in declared.items() for prop, it in members.items() if it.writable}
    assert set(properties.SETTERS) == writable
    assert set(policy.SET_RULES) == writable
    assert writable == {(interfaces.MANAGER, "log_priority")}


def test_every_announcement_is_a_signal_and_every_signal_an_announcement() -> None:
    assert set(announcements.SIGNAL_OF) == {*effects.ANNOUNCEMENTS, announcements.Restarted}
    members = [signal.member for signal in announcements.SIGNAL_OF.values()]
    assert sorted(members) == sorted(interfaces.SIGNALS)


def test_objects_have_the_interfaces_that_are_declared() -> None:
    used = {interfaces.MANAGER, interfaces.JOB, interfaces.INSTANCE, *objects._STANDARD}
    assert used == set(interfaces.DESCRIPTIONS)


def test_only_the_methods_of_the_specification_are_free_for_all() -> None:
    free = {member for member, rule in policy.METHOD_RULES.items() if rule is policy.FREE}
    assert free == {
        (interfaces.MANAGER, "GetJobByName"), (interfaces.MANAGER, "GetAllJobs"),
        (interfaces.JOB, "GetInstance"), (interfaces.JOB, "GetInstanceByName"), (interfaces.JOB, "GetAllInstances"),
        (interfaces.PROPERTIES, "Get"), (interfaces.PROPERTIES, "GetAll"), (interfaces.PROPERTIES, "Set"),
        (interfaces.INTROSPECTABLE, "Introspect"), (interfaces.PEER, "Ping"), (interfaces.PEER, "GetMachineId"),
    }  # fmt: skip


def test_the_dispatcher_can_be_made_without_a_bus() -> None:
    class NoHost:
        log = None

    assert Dispatcher(NoHost()) is not None  # type: ignore[arg-type]  # nothing of it is used here
