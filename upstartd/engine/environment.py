"""Environments: how they are built from their parts, and the table that all jobs begin with.

An environment is a dict in the order of its variables: a later value of a name that is there replaces the
value in place, a new name goes to the end. Source: events specification, sections 9 and 10.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from upstartd.errors import InvalidArgs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from upstartd.conf.model import JobConfig
    from upstartd.engine.event import Event


def check_pairs(env: Sequence[str]) -> None:
    """Raise InvalidArgs unless every string has a `=`."""
    if not all("=" in entry for entry in env):
        raise InvalidArgs("Env must be KEY=VALUE pairs")


def pairs(env: Iterable[str]) -> dict[str, str]:
    """KEY=VALUE strings as an environment; the last of one name counts."""
    result: dict[str, str] = {}
    for entry in env:
        name, _, value = entry.partition("=")
        result[name] = value
    return result


def of_class(table: Mapping[str, str], config: JobConfig, own: Mapping[str, str]) -> dict[str, str]:
    """The table and the `env` stanzas; a bare KEY takes the daemon's `own` value, and goes where that has none."""
    result = dict(table)
    for entry in config.env:
        name, equals, value = entry.partition("=")
        if equals:
            result[name] = value
        elif name in own:
            result[name] = own[name]
        else:
            result.pop(name, None)
    return result


def of_events(events: Sequence[Event], names_variable: str) -> dict[str, str]:
    """The variables of `events` from left to right, and their names in the variable `names_variable`."""
    result: dict[str, str] = {}
    for event in events:
        result |= pairs(event.env)
    result[names_variable] = " ".join(event.name for event in events)
    return result


def check_name(name: str) -> str:
    """`name`, unless it is empty: InvalidArgs."""
    if not name:
        raise InvalidArgs("Variable may not be empty string")
    return name


def assignments(variables: Sequence[str]) -> list[tuple[str, str]]:
    """SetEnv's arguments: KEY=VALUE, or KEY for the empty value. InvalidArgs where KEY is empty."""
    return [(check_name(name), value) for name, _, value in (entry.partition("=") for entry in variables)]


def assign(env: dict[str, str], variables: Iterable[tuple[str, str]], *, replace: bool) -> None:
    """Set variables in place; without `replace` one that is set stays as it is."""
    for name, value in variables:
        if replace or name not in env:
            env[name] = value
