"""The signals' names as job files and events spell them: without SIG, no real-time ones.

Source: configuration specification, section 3; lifecycle specification, section 5.
"""

from __future__ import annotations

import signal

_ALIASES = {"IOT": "ABRT", "CLD": "CHLD", "POLL": "IO"}

NAMES: dict[int, str] = {
    int(number): name.removeprefix("SIG")
    for name, number in signal.Signals.__members__.items()
    if int(number) < signal.SIGRTMIN and name.removeprefix("SIG") not in _ALIASES
}
NUMBERS: dict[str, int] = {name: number for number, name in NAMES.items()}
NUMBERS |= {alias: NUMBERS[name] for alias, name in _ALIASES.items()}


def signal_number(name: str) -> int | None:
    """The number of the signal called `name`, with or without SIG in front; None where there is none."""
    return NUMBERS.get(name.removeprefix("SIG"))


def signal_name(number: int) -> str:
    """The signal's name without SIG, or the number itself where it has no name."""
    return NAMES.get(number, str(number))
