"""The CPUs that a process may use: affinity, and quotas of both versions of control groups."""

import os
from pathlib import Path

import pytest

from ianus.process.supervisor.cpus import cpus


@pytest.fixture(autouse=True)
def _eight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))


def counted(directory: Path, groups: str, files: dict[str, str]) -> int:
    """Returns the number of CPUs if /proc/self/cgroup is `groups` and these files are mounted."""
    (directory / "groups").write_text(groups)
    for name, content in files.items():
        path = directory / "mounts" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return cpus(str(directory / "groups"), str(directory / "mounts"))


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 8),
        ({"a/b/cpu.max": "max 100000\n"}, 8),
        ({"a/b/cpu.max": "200000 100000\n"}, 2),
        ({"a/b/cpu.max": "150000 100000\n"}, 2),
        ({"a/b/cpu.max": "10000 100000\n"}, 1),
        ({"a/b/cpu.max": "9900000 100000\n"}, 8),
        ({"a/b/cpu.max": "400000 100000\n", "a/cpu.max": "300000 100000\n"}, 3),
        ({"cpu.max": "500000 100000\n"}, 5),
        ({"other/cpu.max": "100000 100000\n"}, 8),
        ({"a/b/cpu.max": "\n"}, 8),
    ],
)
def test_control_groups(files: dict[str, str], expected: int, tmp_path: Path) -> None:
    assert counted(tmp_path, "0::/a/b\n", files) == expected


@pytest.mark.parametrize(
    ("directory", "quota", "expected"),
    [("cpu/a/b", "-1", 8), ("cpu/a/b", "250000", 3), ("cpu/a", "250000", 3), ("cpu", "250000", 3), ("x", "250000", 8)],
)
def test_control_groups_of_the_first_version(directory: str, quota: str, expected: int, tmp_path: Path) -> None:
    files = {f"{directory}/cpu.cfs_quota_us": f"{quota}\n", f"{directory}/cpu.cfs_period_us": "100000\n"}
    groups = "3:memory:/m\n2:cpuset:/s\n1:cpu,cpuacct:/a/b\n0::/\n"
    assert counted(tmp_path, groups, files) == expected


def test_a_name_may_have_colons(tmp_path: Path) -> None:
    assert counted(tmp_path, "0::/a:b\n", {"a:b/cpu.max": "200000 100000\n"}) == 2


def test_without_control_groups(tmp_path: Path) -> None:
    assert cpus(str(tmp_path / "none"), str(tmp_path)) == 8


def test_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert 1 <= cpus() <= len(os.sched_getaffinity(0))
