"""What the settings of cgroup version 1 are called in version 2, as a table. Pure.

Job files name controllers and keys as they were in version 1, when the stanza came to be. What has no entry goes to
the kernel under its own name, which serves the keys that are in both versions, and those of version 2. Sources: the
kernel's documentation, admin-guide/cgroup-v1 and admin-guide/cgroup-v2.rst.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

# What each controller has become. None: a part of every group, without any controller.
CONTROLLERS: dict[str, str | None] = {"blkio": "io", "cpuacct": None, "freezer": None, "perf_event": None}

_DEFAULT_SHARES, _DEFAULT_BLOCK_WEIGHT, _DEFAULT_WEIGHT, _MOST_WEIGHT = 1024, 500, 100, 10_000
_DEFAULT_PERIOD = "100000"
_SUFFIXES = "kmgtpe"  # of sizes: each is 1024 times the one before


class ControlGroupError(Exception):
    """A group that cannot be made, set or entered; the text says which, and why."""


def translate(controller: str, keys: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The files of version 2, each with what is written to it, for `keys` of a group of `controller`.

    ControlGroupError where a value does not mean anything.
    """
    written = []
    for key, value in keys.items():
        if entry := _KEYS.get((controller, key)):
            file, convert = entry
            try:
                written.append((file, convert(value, keys)))
            except (ValueError, OverflowError):
                raise ControlGroupError(f"{value!r} is no value for {controller}.{key}") from None
        else:
            written.append((f"{CONTROLLERS.get(controller, controller)}.{key}", value))
    yield from dict.fromkeys(written)  # two keys may have become one file


# -- values: each of these takes the value, and all keys of the group ----------------------------------------


def _number(value: str, _: Mapping[str, str]) -> str:
    return value


def _limit(value: str, _: Mapping[str, str]) -> str:
    return "max" if value.startswith("-") else value


def _size(value: str) -> int:
    """A number of bytes as the kernel reads it: in C's notation, perhaps with a suffix."""
    exponent = _SUFFIXES.find(value[-1:].lower()) + 1 if value else 0
    return int(value[:-1] if exponent else value, 0) << 10 * exponent


def _swap(value: str, keys: Mapping[str, str]) -> str:
    # Version 1 limits memory and swap together, version 2 swap alone.
    if value.startswith("-"):
        return "max"
    memory = keys.get("limit_in_bytes", "")
    if not memory or memory.startswith("-"):
        raise ControlGroupError("memory.memsw.limit_in_bytes has no meaning without memory.limit_in_bytes")
    swap = _size(value) - _size(memory)
    if swap < 0:
        raise ControlGroupError("memory.memsw.limit_in_bytes is less than memory.limit_in_bytes")
    return str(swap)


def _scaled(value: str, default: int) -> str:
    """A weight where `default` is the usual one; in version 2 that is 100, and the proportions are to stay."""
    return str(min(max(round(int(value) * _DEFAULT_WEIGHT / default), 1), _MOST_WEIGHT))


def _shares(value: str, _: Mapping[str, str]) -> str:
    return _scaled(value, _DEFAULT_SHARES)


def _block_weight(value: str, _: Mapping[str, str]) -> str:
    return f"default {_scaled(value, _DEFAULT_BLOCK_WEIGHT)}"


def _device_weight(value: str, _: Mapping[str, str]) -> str:
    device, weight = value.split()
    return f"{device} {_scaled(weight, _DEFAULT_BLOCK_WEIGHT)}"


def _bandwidth(_: str, keys: Mapping[str, str]) -> str:
    # Quota and period are one file now.
    quota = _limit(keys.get("cfs_quota_us", "-1"), keys)
    return f"{quota} {keys.get('cfs_period_us', _DEFAULT_PERIOD)}"


def _throttle(name: str) -> Callable[[str, Mapping[str, str]], str]:
    def convert(value: str, _: Mapping[str, str]) -> str:
        device, rate = value.split()
        return f"{device} {name}={'max' if int(rate) == 0 else rate}"  # 0 took a limit away

    return convert


def _freeze(value: str, _: Mapping[str, str]) -> str:
    return str(("THAWED", "FROZEN").index(value))


_KEYS: dict[tuple[str, str], tuple[str, Callable[[str, Mapping[str, str]], str]]] = {
    ("memory", "limit_in_bytes"): ("memory.max", _limit),
    ("memory", "soft_limit_in_bytes"): ("memory.low", _limit),
    ("memory", "memsw.limit_in_bytes"): ("memory.swap.max", _swap),
    ("cpu", "shares"): ("cpu.weight", _shares),
    ("cpu", "cfs_quota_us"): ("cpu.max", _bandwidth),
    ("cpu", "cfs_period_us"): ("cpu.max", _bandwidth),
    ("cpu", "cfs_burst_us"): ("cpu.max.burst", _number),
    ("blkio", "weight"): ("io.weight", _block_weight),
    ("blkio", "weight_device"): ("io.weight", _device_weight),
    ("blkio", "throttle.read_bps_device"): ("io.max", _throttle("rbps")),
    ("blkio", "throttle.write_bps_device"): ("io.max", _throttle("wbps")),
    ("blkio", "throttle.read_iops_device"): ("io.max", _throttle("riops")),
    ("blkio", "throttle.write_iops_device"): ("io.max", _throttle("wiops")),
    ("freezer", "state"): ("cgroup.freeze", _freeze),
    **{
        ("hugetlb", f"{size}.limit_in_bytes"): (f"hugetlb.{size}.max", _limit)
        for size in ("64KB", "1MB", "2MB", "16MB", "32MB", "512MB", "1GB", "2GB", "16GB")
    },
}
