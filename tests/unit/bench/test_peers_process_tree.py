"""CPU of a peer is that of everything it started, ended children included, and of nothing else."""

import os
from pathlib import Path

from bench.peers.process_tree import ProcessLine, parse_stat, read_processes, tree

_TAIL = "0 0 -1 4194560 100 0 0 0 {utime} {stime} {cutime} {cstime} 20 0 1 0 12345 1000 200"


def _stat(pid: int, parent: int, name: str = "python", **times: int) -> str:
    ticks = {"utime": 0, "stime": 0, "cutime": 0, "cstime": 0} | times
    return f"{pid} ({name}) S {parent} {pid} {_TAIL.format(**ticks)}"


def test_a_line_counts_user_system_and_ended_children() -> None:
    second = os.sysconf("SC_CLK_TCK")

    line = parse_stat(_stat(42, 7, utime=second, stime=second // 2, cutime=second // 4, cstime=second // 4))

    assert line == ProcessLine(42, 7, 2.0)


def test_a_name_with_spaces_and_parentheses_is_no_obstacle() -> None:
    line = parse_stat(_stat(42, 7, name="beam.smp) (x S 1 2"))

    assert (line.pid, line.parent) == (42, 7)


def test_a_tree_is_the_roots_and_all_their_descendants_each_once() -> None:
    lines = {pid: ProcessLine(pid, parent, 1.0) for pid, parent in {1: 0, 10: 1, 11: 10, 12: 11, 20: 1, 21: 20}.items()}

    assert [line.pid for line in tree({10, 11}, lines)] == [10, 11, 12]


def test_a_root_that_is_gone_has_no_tree() -> None:
    assert tree({99}, {1: ProcessLine(1, 0, 1.0)}) == []


def test_only_folders_named_by_a_number_are_processes(tmp_path: Path) -> None:
    for name in ("42", "self"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "stat").write_text(_stat(42, 7))
    (tmp_path / "43").mkdir()  # ended between the listing and the reading

    assert list(read_processes(tmp_path)) == [42]
