"""Short ways to write what a job says, for tests that need no job file."""

from __future__ import annotations

from typing import Any

from upstartd.conf.model import Command, Condition, EventPattern, JobConfig, Operator, ProcessName


def job(*processes: str, **stanzas: Any) -> JobConfig:
    """A job with these processes, each running its own name; `stanzas` are the fields of JobConfig."""
    return JobConfig(processes={ProcessName(name): Command(name) for name in processes}, **stanzas)


def service(**stanzas: Any) -> JobConfig:
    """A job with a main process only."""
    return job("main", **stanzas)


def on(name: str, *args: str) -> Condition:
    """The condition NAME ARG..."""
    return (EventPattern(name, args),)


def both(left: Condition, right: Condition) -> Condition:
    """LEFT and RIGHT."""
    return (*left, *right, Operator.AND)


def either(left: Condition, right: Condition) -> Condition:
    """LEFT or RIGHT."""
    return (*left, *right, Operator.OR)
