"""What the kernel's files say, in both layouts. Of v1 they were recorded, of v2 written as the kernel documents them."""

from pathlib import Path

import pytest

from shakedown.faults.resource.cgroup import CgroupState, folders_of, parse_cgroup
from shakedown.faults.resource.disk_full import Space, parse_space
from shakedown.faults.resource.slow_disk import parse_served, parse_throttle

V1 = {
    "memory.limit_in_bytes": "199999488\n",
    "memory.memsw.limit_in_bytes": "199999488\n",
    "memory.usage_in_bytes": "102064128\n",
    "memory.stat": "cache 20480\nrss 299008\nactive_file 1\ninactive_file 2\n"
    "total_cache 20480\ntotal_active_file 16384\ntotal_inactive_file 4096\n",
    "memory.failcnt": "17\n",
    "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
    "cpu.cfs_quota_us": "20000\n",
    "cpu.cfs_period_us": "100000\n",
    "cpu.stat": "nr_periods 30\nnr_throttled 28\nthrottled_time 2210000000\nnr_bursts 0\nburst_time 0\n",
    "cpuacct.usage": "196909487\n",
    "pids.max": "20\n",
    "pids.current": "3\n",
    "pids.events": "max 4\n",
}
V2 = {
    "memory.max": "199999488\n",
    "memory.swap.max": "0\n",
    "memory.current": "102064128\n",
    "memory.stat": "anon 299008\nfile 20480\nactive_file 16384\ninactive_file 4096\n",
    "memory.events": "low 0\nhigh 0\nmax 17\noom 3\noom_kill 2\noom_group_kill 0\n",
    "cpu.max": "20000 100000\n",
    "cpu.stat": "usage_usec 196909\nuser_usec 60000\nsystem_usec 120000\nnr_periods 30\nnr_throttled 28\nthrottled_usec 2210000\n",
    "pids.max": "20\n",
    "pids.current": "3\n",
    "pids.events": "max 4\n",
}


@pytest.mark.parametrize(("files", "seconds"), [(V1, 0.196909487), (V2, 0.196909)])
def test_both_layouts_say_the_same(files, seconds):
    """The same container under v1 and v2 gives the same state; page cache is not firm."""
    assert parse_cgroup(files, "here") == CgroupState(
        source="here", memory_limit=199999488, memory_used=102064128, memory_firm=102064128 - 20480, memory_hits=17,
        oom_kills=2, cpus=0.2, cpu_seconds=seconds, periods=30, throttled=28, pids_limit=20, pids=3, pids_hits=4,
    )  # fmt: skip


@pytest.mark.parametrize(
    "files",
    [
        {"memory.limit_in_bytes": "9223372036854771712\n", "cpu.cfs_quota_us": "-1\n", "cpu.cfs_period_us": "100000\n",
         "pids.max": "max\n"},
        {"memory.max": "max\n", "cpu.max": "max 100000\n", "pids.max": "max\n"},
    ],
)  # fmt: skip
def test_no_limit(files):
    """Each layout's way to write that there is no limit."""
    assert parse_cgroup(files).limits == (None, None, None)


def test_what_is_not_there_is_not_told():
    """Missing files are neither zero nor an error."""
    assert parse_cgroup({}) == CgroupState()


def test_a_containers_folders(tmp_path: Path):
    """v1 has one for each controller, v2 one for all; another container's, or one that is not there, is not taken."""
    for folder in ("memory/docker/abc", "cpu/docker/abc", "system.slice/docker-abc.scope", "memory/docker/def"):
        (tmp_path / folder).mkdir(parents=True)
    v1 = "9:name=systemd:/docker/abc\n4:memory:/docker/abc\n2:cpu,cpuacct:/docker/abc\n8:pids:/docker/abc\n0::/docker/abc\n"
    assert folders_of(v1, "abc", tmp_path) == {
        "memory": tmp_path / "memory/docker/abc", "cpu": tmp_path / "cpu/docker/abc",
    }  # fmt: skip
    assert folders_of("0::/system.slice/docker-abc.scope\n", "abc", tmp_path) == {
        "": tmp_path / "system.slice/docker-abc.scope"
    }
    assert folders_of("4:memory:/docker/def\n0::/init.scope\n", "abc", tmp_path) == {}


DF = "Filesystem     1024-blocks     Used Available Capacity Mounted on\n"
BUSYBOX_DF = "Filesystem           1024-blocks    Used Available Capacity Mounted on\n"
MOUNTS = (
    "88 70 0:45 / / rw,relatime - overlay overlay rw,lowerdir=/l,upperdir=/u,workdir=/w\n"
    "89 72 0:48 / /data rw,nosuid,nodev,noexec,relatime - tmpfs tmpfs rw,size=20480k\n"
    "90 72 254:0 /var/lib/docker/volumes/store/_data /store rw,relatime - ext4 /dev/vda rw\n"
)


@pytest.mark.parametrize(
    ("row", "space"),
    [
        (f"{DF}tmpfs                20480 20480         0     100% /data", Space("/data", "tmpfs", 20480 * 1024, 0)),
        (
            f"{BUSYBOX_DF}/dev/vda  264212084 26650160  79740752      26% /store",
            Space("/store", "ext4", 26650160 * 1024, 79740752 * 1024),
        ),
        (f"{DF}overlay  100 50  50      50% /", Space("/", "overlay", 51200, 51200)),
    ],
)
def test_how_full_a_place_is(row, space):
    """From df and the list of mounts: bytes, and the kind of the file system that the place is on."""
    assert parse_space(f"{row}\n{MOUNTS}") == space


def test_the_share_in_use_leaves_out_what_is_reserved():
    """Used against used and available, as df counts; an empty place is 0, not an error."""
    assert Space("/", "ext4", 75, 25).share == 0.75
    assert Space("/", "tmpfs", 0, 0).share == 0


def test_the_disks_limits():
    """v1's two files and v2's line say the same of one device, and nothing of another."""
    v1 = {"blkio.throttle.write_bps_device": "8:0 7\n254:0 2000000\n", "blkio.throttle.read_bps_device": ""}
    v2 = {"io.max": "8:0 rbps=7 wbps=max riops=max wiops=max\n254:0 rbps=max wbps=2000000 riops=max wiops=120\n"}
    for files in (v1, v2):
        assert parse_throttle(files, "254:0") == {"read": 0, "write": 2_000_000}
        assert parse_throttle(files, "254:16") == {"read": 0, "write": 0}


def test_what_the_disk_served():
    """Bytes read and written of one device, in both layouts."""
    v1 = "8:0 Read 1\n254:0 Read 4096\n254:0 Write 31469568\n254:0 Sync 5\n254:0 Total 31473664\nTotal 31473665\n"
    v2 = "8:0 rbytes=1 wbytes=1 rios=1 wios=1 dbytes=0 dios=0\n254:0 rbytes=4096 wbytes=31469568 rios=1 wios=30 dbytes=0 dios=0\n"
    for text in (v1, v2):
        assert parse_served(text, "254:0") == {"read": 4096, "write": 31469568}
