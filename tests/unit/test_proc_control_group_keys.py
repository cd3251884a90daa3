"""What settings of cgroup version 1 become in version 2."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from upstartd.proc.control_group_keys import _KEYS, ControlGroupError, translate


@pytest.mark.parametrize(
    ("controller", "keys", "files"),
    [
        ("memory", {"limit_in_bytes": "52428800"}, [("memory.max", "52428800")]),
        ("memory", {"limit_in_bytes": "50M"}, [("memory.max", "50M")]),
        ("memory", {"limit_in_bytes": "-1"}, [("memory.max", "max")]),
        ("memory", {"soft_limit_in_bytes": "1G"}, [("memory.low", "1G")]),
        ("memory", {"limit_in_bytes": "50M", "memsw.limit_in_bytes": "0x4000000"},
         [("memory.max", "50M"), ("memory.swap.max", str(14 << 20))]),
        ("memory", {"memsw.limit_in_bytes": "1g", "limit_in_bytes": "1G"},
         [("memory.swap.max", "0"), ("memory.max", "1G")]),
        ("memory", {"memsw.limit_in_bytes": "-1"}, [("memory.swap.max", "max")]),
        ("cpu", {"shares": "1024"}, [("cpu.weight", "100")]),
        ("cpu", {"shares": "512"}, [("cpu.weight", "50")]),
        ("cpu", {"shares": "2"}, [("cpu.weight", "1")]),
        ("cpu", {"shares": "262144"}, [("cpu.weight", "10000")]),
        ("cpu", {"cfs_quota_us": "50000"}, [("cpu.max", "50000 100000")]),
        ("cpu", {"cfs_quota_us": "50000", "cfs_period_us": "200000"}, [("cpu.max", "50000 200000")]),
        ("cpu", {"cfs_period_us": "200000"}, [("cpu.max", "max 200000")]),
        ("cpu", {"cfs_quota_us": "-1"}, [("cpu.max", "max 100000")]),
        ("cpu", {"cfs_burst_us": "1000"}, [("cpu.max.burst", "1000")]),
        ("cpuset", {"cpus": "0-1", "mems": "0"}, [("cpuset.cpus", "0-1"), ("cpuset.mems", "0")]),
        ("blkio", {"weight": "500"}, [("io.weight", "default 100")]),
        ("blkio", {"weight_device": "8:16 1000"}, [("io.weight", "8:16 200")]),
        ("blkio", {"throttle.read_bps_device": "8:0 1048576", "throttle.write_iops_device": "8:0 0"},
         [("io.max", "8:0 rbps=1048576"), ("io.max", "8:0 wiops=max")]),
        ("blkio", {"throttle.write_bps_device": "8:0 1", "throttle.read_iops_device": "8:0 2"},
         [("io.max", "8:0 wbps=1"), ("io.max", "8:0 riops=2")]),
        ("pids", {"max": "100"}, [("pids.max", "100")]),
        ("freezer", {"state": "FROZEN"}, [("cgroup.freeze", "1")]),
        ("freezer", {"state": "THAWED"}, [("cgroup.freeze", "0")]),
        ("hugetlb", {"2MB.limit_in_bytes": "4194304"}, [("hugetlb.2MB.max", "4194304")]),
        ("memory", {}, []),
    ],
)  # fmt: skip
def test_a_setting_of_version_1_goes_to_the_file_that_has_its_meaning_in_version_2(
    controller: str, keys: dict[str, str], files: list[tuple[str, str]]
) -> None:
    assert list(translate(controller, keys)) == files


@pytest.mark.parametrize(
    ("controller", "key", "file"),
    [("memory", "high", "memory.high"), ("io", "max", "io.max"), ("cpu", "uclamp.min", "cpu.uclamp.min"),
     ("blkio", "bfq.weight", "io.bfq.weight"), ("memory", "swappiness", "memory.swappiness")],
)  # fmt: skip
def test_any_other_key_is_the_name_of_a_file(controller: str, key: str, file: str) -> None:
    assert list(translate(controller, {key: "as it is"})) == [(file, "as it is")]


@pytest.mark.parametrize(
    ("controller", "keys", "reason"),
    [
        ("cpu", {"shares": "many"}, "'many' is no value for cpu.shares"),
        ("blkio", {"weight_device": "500"}, "'500' is no value for blkio.weight_device"),
        ("blkio", {"weight": "1e3"}, "'1e3' is no value for blkio.weight"),
        ("blkio", {"throttle.read_bps_device": "8:0 all"}, "'8:0 all' is no value for blkio.throttle.read_bps_device"),
        ("freezer", {"state": "FREEZING"}, "'FREEZING' is no value for freezer.state"),
        ("memory", {"limit_in_bytes": "1", "memsw.limit_in_bytes": ""},
         "'' is no value for memory.memsw.limit_in_bytes"),
        ("memory", {"limit_in_bytes": "x", "memsw.limit_in_bytes": "1"},
         "'1' is no value for memory.memsw.limit_in_bytes"),
        ("memory", {"memsw.limit_in_bytes": "1G"},
         "memory.memsw.limit_in_bytes has no meaning without memory.limit_in_bytes"),
        ("memory", {"limit_in_bytes": "-1", "memsw.limit_in_bytes": "1G"},
         "memory.memsw.limit_in_bytes has no meaning without memory.limit_in_bytes"),
        ("memory", {"limit_in_bytes": "1G", "memsw.limit_in_bytes": "1M"},
         "memory.memsw.limit_in_bytes is less than memory.limit_in_bytes"),
    ],
)  # fmt: skip
def test_a_value_without_a_meaning_is_told(controller: str, keys: dict[str, str], reason: str) -> None:
    with pytest.raises(ControlGroupError) as told:
        list(translate(controller, keys))
    assert str(told.value) == reason


def test_the_page_about_it_has_every_setting_that_is_translated() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "control-groups.md").read_text()
    names = {re.sub(r"\d+[KMG]B", "SIZE", f"`{controller}.{key}`") for controller, key in _KEYS}
    assert names <= set(re.findall(r"`[^`]+`", page))
