from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.monitoring.collectors.cgroup import CgroupUsage, read
from orchestration.monitoring.collectors.resources import memory_of, share_of_cpu


def files(root: Path, texts: dict[str, str]) -> Path:
    for name, text in texts.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def membership(folder: Path, text: str) -> Path:
    path = folder / "membership"
    path.write_text(text)
    return path


V2 = {
    "cgroup.controllers": "cpu memory",
    "a/b/cpu.max": "max 100000\n",
    "a/b/memory.max": "max\n",
    "a/b/memory.current": "700\n",
    "a/b/cpu.stat": "usage_usec 2500000\nuser_usec 1\n",
    "a/cpu.max": "50000 100000\n",
    "a/memory.max": "1000\n",
    "a/memory.current": "900\n",
    "a/memory.stat": "anon 500\ninactive_file 300\n",
}


def test_version_2_takes_the_smallest_limit_on_the_way_up_and_leaves_out_the_cache(tmp_path: Path) -> None:
    root = files(tmp_path / "cg", V2)
    assert read(root, membership(tmp_path, "0::/a/b\n")) == CgroupUsage(0.5, 2.5, 1000, 600)


def test_in_a_container_the_group_may_be_the_root_itself(tmp_path: Path) -> None:
    texts = {
        "cgroup.controllers": "",
        "cpu.max": "200000 100000",
        "memory.max": "4096",
        "memory.current": "1024",
        "cpu.stat": "usage_usec 5",
    }
    root = files(tmp_path / "cg", texts)
    for place in ("/", "/docker/0123", "/../../outside"):
        assert read(root, membership(tmp_path, f"0::{place}\n")) == CgroupUsage(2.0, 5e-6, 4096, 1024)


def test_version_1_with_its_controllers_apart(tmp_path: Path) -> None:
    texts = {
        "cpu/g/cpu.cfs_quota_us": "150000",
        "cpu/g/cpu.cfs_period_us": "100000",
        "cpu/cpu.cfs_quota_us": "-1",
        "cpu/cpu.cfs_period_us": "100000",
        "cpuacct/g/cpuacct.usage": "3000000000",
        "memory/g/memory.limit_in_bytes": "9223372036854771712",
        "memory/memory.limit_in_bytes": "2048",
        "memory/memory.usage_in_bytes": "1500",
        "memory/memory.stat": "total_inactive_file 500",
    }
    root = files(tmp_path / "cg", texts)
    where = membership(tmp_path, "5:memory:/g\n4:cpu:/g\n3:cpuacct:/g\n1:name=systemd:/\n")
    assert read(root, where) == CgroupUsage(1.5, 3.0, 2048, 1000)


def test_version_1_with_its_controllers_together_and_version_2_beside_them_without_any(tmp_path: Path) -> None:
    texts = {
        "unified/cgroup.controllers": "",
        "cpu,cpuacct/g/cpu.cfs_quota_us": "100000",
        "cpu,cpuacct/g/cpu.cfs_period_us": "100000",
        "cpu,cpuacct/g/cpuacct.usage": "1000000000",
    }
    root = files(tmp_path / "cg", texts)
    where = membership(tmp_path, "4:cpu,cpuacct:/g\n0::/\n")
    assert read(root, where) == CgroupUsage(1.0, 1.0, None, None)


def test_use_is_that_of_the_hierarchy_with_the_limit(tmp_path: Path) -> None:
    """Version 2 beside version 1 counts the whole machine where all that we have of it is its root."""
    texts = {
        "unified/cgroup.controllers": "",
        "unified/cpu.stat": "usage_usec 9000000",
        "cpu/g/cpu.cfs_quota_us": "100000",
        "cpu/g/cpu.cfs_period_us": "100000",
        "cpuacct/g/cpuacct.usage": "2000000000",
    }
    root = files(tmp_path / "cg", texts)
    ours = membership(tmp_path, "2:cpuacct:/g\n1:cpu:/g\n0::/\n")
    assert read(root, ours) == CgroupUsage(1.0, 2.0, None, None)


def test_without_limits_or_control_groups_nothing_is_known(tmp_path: Path) -> None:
    assert read(tmp_path / "none", tmp_path / "nowhere") == CgroupUsage()
    texts = {"cgroup.controllers": "", "cpu.max": "max 100000", "memory.max": "max", "memory.current": "5"}
    assert read(files(tmp_path / "cg", texts), membership(tmp_path, "0::/\n")) == CgroupUsage()


@settings(max_examples=25, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(V2)), st.text(max_size=20).filter(lambda text: "\0" not in text)))
def test_odd_contents_never_make_it_fail(tmp_path_factory: pytest.TempPathFactory, odd: dict[str, str]) -> None:
    folder = tmp_path_factory.mktemp("cg")
    root = files(
        folder / "cg", {name: text.encode("utf-8", "replace").decode() for name, text in {**V2, **odd}.items()}
    )
    assert isinstance(read(root, membership(folder, "0::/a/b\n")), CgroupUsage)


def test_processor_use_is_of_the_limit_and_not_of_the_machine() -> None:
    assert share_of_cpu((0.0, 10.0), (10.0, 14.5), 0.5) == 90.0
    assert share_of_cpu((0.0, 10.0), (10.0, 14.5), 2.0) == 22.5
    assert share_of_cpu((0.0, 10.0), (0.0, 10.0), 2.0) is None


@given(st.floats(0, 1e6), st.floats(0, 1e9), st.floats(0, 1e6), st.floats(0, 1e9), st.floats(0, 64))
def test_processor_use_is_a_percentage_whatever_the_clocks_do(
    t0: float, c0: float, t1: float, c1: float, n: float
) -> None:
    share = share_of_cpu((t0, c0), (t1, c1), n)
    assert share is None or 0 <= share <= 100


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (CgroupUsage(memory_limit=1000, memory_used=600), (600, 1000)),
        (CgroupUsage(memory_limit=9000, memory_used=600), None),
        (CgroupUsage(memory_limit=0, memory_used=0), None),
        (CgroupUsage(memory_limit=1000), None),
        (CgroupUsage(), None),
    ],
    ids=["limit", "limit beyond the machine", "no room at all", "use unknown", "none"],
)
def test_memory_is_of_the_container_where_that_is_smaller(usage: CgroupUsage, expected: tuple[int, int] | None) -> None:
    assert memory_of(usage, 5000) == expected
