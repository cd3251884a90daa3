"""Any sequence of events, commands, process news, reloads and time keeps the engine's invariants."""

from __future__ import annotations

from hypothesis import settings

from support.engine_machine import EngineMachine

TestEngineInvariants = EngineMachine.TestCase
TestEngineInvariants.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
