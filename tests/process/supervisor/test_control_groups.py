"""Limits of memory and killed processes, in both versions of control groups."""

from pathlib import Path

import pytest

from ianus.process.supervisor.control_groups import MemoryKills, count_memory_kills, memory_limit

V1 = "3:memory:/a/b\n1:cpu,cpuacct:/c\n0::/\n"


class Groups:
    """The files of control groups in a directory of the test."""

    def __init__(self, directory: Path, groups: str, files: dict[str, str]) -> None:
        self.directory = directory
        self.paths = str(directory / "groups"), str(directory / "mounts")
        (directory / "groups").write_text(groups)
        for name, content in files.items():
            self.write(name, content)

    def write(self, name: str, content: str) -> None:
        path = self.directory / "mounts" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("0::/a/b\n", {}, 0),
        ("0::/a/b\n", {"a/b/memory.max": "max\n"}, 0),
        ("0::/a/b\n", {"a/b/memory.max": "536870912\n"}, 512 << 20),
        ("0::/a/b\n", {"a/b/memory.max": "536870912\n", "a/memory.max": "1048576\n"}, 1 << 20),
        ("0::/a/b\n", {"memory.max": "1048576\n"}, 1 << 20),
        ("0::/a/b\n", {"a/b/memory.max": "\n"}, 0),
        (V1, {"memory/a/b/memory.limit_in_bytes": "9223372036854771712\n"}, 0),
        (V1, {"memory/a/b/memory.limit_in_bytes": "1048576\n"}, 1 << 20),
        (V1, {"memory/memory.limit_in_bytes": "1048576\n"}, 1 << 20),
    ],
)
def test_the_strictest_limit_holds(groups: str, files: dict[str, str], expected: int, tmp_path: Path) -> None:
    assert memory_limit(*Groups(tmp_path, groups, files).paths) == expected


def test_without_control_groups(tmp_path: Path) -> None:
    paths = str(tmp_path / "none"), str(tmp_path)
    assert (memory_limit(*paths), count_memory_kills(*paths)) == (0, 0)
    assert not MemoryKills(*paths).take_one()


@pytest.mark.parametrize(
    ("groups", "file"), [("0::/a\n", "a/memory.events"), ("2:memory:/a\n", "memory/a/memory.oom_control")]
)
def test_each_process_that_the_kernel_has_killed_is_taken_once(groups: str, file: str, tmp_path: Path) -> None:
    control = Groups(tmp_path, groups, {file: "low 0\noom 3\noom_kill 2\noom_group_kill 9\n"})
    kills = MemoryKills(*control.paths)
    assert not kills.take_one(), "those before the start"
    control.write(file, "oom 5\noom_kill 4\n")
    assert [kills.take_one() for _ in range(3)] == [True, True, False]


def test_limits_of_this_process() -> None:
    assert memory_limit() >= 0
    assert count_memory_kills() >= 0
