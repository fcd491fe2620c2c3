"""A process and all that it has started, without reading every process of the machine (Linux)."""

import os

__all__ = ["family_of"]


def family_of(pid: int) -> list[int] | None:
    """Numbers of a process and of all below it; None where the kernel does not tell children (another system, an old kernel).

    A child hangs below the thread that started it.
    """
    family = [pid]
    for member in family:  # it grows meanwhile
        try:
            threads = os.listdir(f"/proc/{member}/task")  # noqa: PTH208 - hundreds a second: a Path costs twice
        except OSError:
            if member == pid and not os.path.isdir("/proc/self/task"):  # noqa: PTH112 - as above
                return None
            continue  # it has ended meanwhile
        for thread in threads:
            try:
                with open(f"/proc/{member}/task/{thread}/children", encoding="ascii") as file:  # noqa: PTH123 - as above
                    family += map(int, file.read().split())
            except FileNotFoundError:
                if thread == str(member) and os.path.isdir(f"/proc/{member}/task/{thread}"):  # noqa: PTH112 - as above
                    return None
            except OSError:
                continue
    return family
