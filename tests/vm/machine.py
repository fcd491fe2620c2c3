"""A virtual machine with Debian's kernel and the agent's own files, without disk or network.

Its memory holds everything: the agent's image (a part of it), the kernel's modules, busybox for the first steps, and a
program that prints a line of JSON for each thing it tried. The processor is emulated: no machine needs more for it.
"""

import contextlib
import gzip
import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["MARK", "UnavailableError", "boot", "fetch", "pack"]

MARK = "RESULT "
PACKAGES = ("linux-image-cloud-amd64", "busybox-static")
MODULES = (
    "veth", "sch_netem", "sch_prio", "nf_tables", "nft_compat", "nfnetlink_queue", "xt_statistic", "xt_comment", "xt_time",
    "xt_CLASSIFY", "xt_NFQUEUE", "xt_multiport", "xt_mark", "xt_tcpudp", "nft_chain_nat", "nf_conntrack", "xt_REDIRECT",
)  # fmt: skip
WITHOUT = (  # of the image: what takes room and nobody needs in there
    "usr/share", "etc/ssl", "usr/lib/apt", "usr/lib/dpkg", "var", "usr/lib/x86_64-linux-gnu/perl", "usr/bin/perl", "usr/lib/gcc",
    "usr/lib/python3.11/test", "usr/lib/python3.11/ensurepip", "usr/lib/python3.11/lib2to3", "usr/lib/x86_64-linux-gnu/gconv",
)  # fmt: skip
INIT = """#!/bin/busybox sh
b=/bin/busybox
$b mkdir -p /proc /sys /dev /run /tmp
$b mount -t proc proc /proc; $b mount -t sysfs sys /sys; $b mount -t devtmpfs dev /dev; $b mount -t tmpfs run /run
exec </dev/console >/dev/console 2>&1
export PATH=/usr/sbin:/usr/bin:/sbin:/bin PYTHONDONTWRITEBYTECODE=1
for module in {modules}; do $b modprobe $module || echo "no module $module"; done
$b ip link set lo up
cd /tests && python3 inside.py
$b poweroff -f
"""


class UnavailableError(Exception):
    """The machine cannot be had here; why."""


def fetch(place: Path) -> tuple[Path, Path]:
    """Debian's kernel package and busybox, unpacked: the kernel, and the root of everything.

    Raises:
        UnavailableError: they cannot be fetched.
    """
    if shutil.which("qemu-system-x86_64") is None:
        raise UnavailableError("qemu-system-x86_64 is not installed (Debian: qemu-system-x86)")
    try:
        depends = _run(["apt-cache", "depends", PACKAGES[0]], place)
        kernel = next(word for word in depends.split() if word.startswith("linux-image-") and word != PACKAGES[0])
        _run(["apt-get", "download", "-o", "APT::Sandbox::User=root", kernel, PACKAGES[1]], place)
    except (OSError, StopIteration, subprocess.SubprocessError) as error:
        raise UnavailableError(f"Debian's kernel cannot be fetched: {error}") from error
    root = place / "unpacked"
    for package in place.glob("*.deb"):
        _run(["dpkg-deb", "-x", str(package), str(root)], place)
    busybox = next(root.glob("**/bin/busybox"))
    release = next((root / "lib/modules").iterdir()).name
    _run([str(busybox), "depmod", "-b", str(root), release], place)
    return next((root / "boot").glob("vmlinuz-*")), root


def _run(command: list[str], place: Path) -> str:
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        raise subprocess.SubprocessError(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()[-300:]}")
    return done.stdout


def pack(image: Iterator[bytes], root: Path, programs: dict[str, str]) -> bytes:
    """The machine's memory as it boots: a compressed archive (cpio, `newc`).

    Args:
        image: the agent's image, as the engine exports it.
        programs: files of /tests, by name.
    """
    archive = _Archive()
    with tarfile.open(fileobj=_Reader(image), mode="r|") as members:
        for member in members:
            name = member.name.removeprefix("./").rstrip("/")
            if name.startswith(WITHOUT) or not name:
                continue
            if member.isdir():
                archive.add(name, 0o040755)
            elif member.issym():
                archive.add(name, 0o120777, member.linkname.encode())
            elif member.isreg():
                content = members.extractfile(member)
                archive.add(name, 0o100000 | member.mode & 0o7777, content.read() if content else b"")
            elif member.islnk():
                archive.add(name, 0o120777, b"/" + member.linkname.encode())
    archive.add("tests", 0o040755)
    for name, text in programs.items():
        archive.add(f"tests/{name}", 0o100644, text.encode())
    archive.add("init", 0o100755, INIT.format(modules=" ".join(MODULES)).encode())
    archive.add("usr/bin/busybox", 0o100755, next(root.glob("**/bin/busybox")).read_bytes())
    _add_modules(archive, root)
    return gzip.compress(archive.end(), 1)


def _add_modules(archive: "_Archive", root: Path) -> None:
    base = next((root / "lib/modules").iterdir())
    needs = {}
    for line in (base / "modules.dep").read_text().splitlines():
        name, _, after = line.partition(":")
        needs[Path(name).stem.replace("-", "_")] = [name, *after.split()]
    wanted: dict[str, None] = {}
    for module in MODULES:
        for path in needs[module]:
            wanted[path] = None
    for path in list(wanted):  # busybox's list names direct needs alone
        for more in needs[Path(path).stem.replace("-", "_")]:
            wanted[more] = None
    folders = {str(parent) for path in wanted for parent in Path(path).parents if str(parent) != "."}
    top = f"usr/lib/modules/{base.name}"
    for folder in ("usr/lib/modules", top, *(f"{top}/{one}" for one in sorted(folders))):
        archive.add(folder, 0o040755)
    for path in wanted:
        archive.add(f"{top}/{path}", 0o100644, (base / path).read_bytes())
    for name in ("modules.dep", "modules.alias", "modules.symbols"):
        if (base / name).exists():
            archive.add(f"{top}/{name}", 0o100644, (base / name).read_bytes())


class _Archive:
    """A cpio archive in the kernel's form (Documentation/driver-api/early-userspace/buffer-format.rst)."""

    def __init__(self) -> None:
        self._out = io.BytesIO()
        self._serial = 1

    def add(self, name: str, mode: int, content: bytes = b"") -> None:
        path = name.encode() + b"\0"
        fields = (self._serial, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(path), 0)
        self._serial += 1
        self._put(b"070701" + b"".join(b"%08x" % field for field in fields) + path)
        self._put(content)

    def _put(self, data: bytes) -> None:
        self._out.write(data + b"\0" * (-len(data) % 4))

    def end(self) -> bytes:
        self.add("TRAILER!!!", 0)
        return self._out.getvalue()


class _Reader(io.RawIOBase):
    """A file of what an iterator yields."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts, self._rest = parts, b""

    def read(self, size: int = -1) -> bytes:
        while len(self._rest) < size:
            part = next(self._parts, b"")
            if not part:
                break
            self._rest += part
        found, self._rest = self._rest[:size], self._rest[size:]
        return found


def boot(kernel: Path, memory: Path, limit: float = 240) -> tuple[dict[str, Any], str]:
    """Let the machine run to its end: what it printed, by name, and everything it said."""
    console = memory.with_name("console.log")
    command = [
        "qemu-system-x86_64", "-accel", "tcg", "-m", "1024", "-smp", "1", "-display", "none", "-no-reboot", "-nodefaults",
        "-serial", f"file:{console}", "-net", "none", "-kernel", str(kernel), "-initrd", str(memory),
        "-append", "console=ttyS0 quiet panic=-1 rdinit=/init",
    ]  # fmt: skip
    with contextlib.suppress(subprocess.TimeoutExpired):
        subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=limit, check=False)
    said = console.read_text(errors="replace")
    lines = [line[line.index(MARK) + len(MARK) :] for line in said.splitlines() if MARK in line]
    found: dict[str, Any] = {}
    for line in lines:
        found.update(json.loads(line))
    return found, said
