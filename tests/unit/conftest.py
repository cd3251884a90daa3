"""What tests of the System V tools share: a machine that is not one, and the daemon that they find, or do not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.scripted_upstart import Reply, ScriptedUpstart
from support.sysv_machine import SysvMachine
from upstartd_clients import connect

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOBODY = "unix:abstract=/upstartd/test/nobody"


@pytest.fixture
def machine(tmp_path: Path) -> SysvMachine:
    """Its files are below tmp_path, and its process 1 is upstartd."""
    return SysvMachine(tmp_path)


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedUpstart]:
    """The system's daemon, which takes every event."""
    with ScriptedUpstart({"EmitEvent": Reply(), "ReloadConfiguration": Reply()}) as running:
        monkeypatch.setattr(connect, "PRIVATE_ADDRESS", running.address)
        yield running


@pytest.fixture
def _nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no daemon: not the system's, and none on a bus."""
    monkeypatch.setattr(connect, "PRIVATE_ADDRESS", NOBODY)
    monkeypatch.setattr(connect, "SYSTEM_BUS_ADDRESS", NOBODY)
