"""How much memory this process can still take: by the system, its container and its own limit."""

import contextlib
import ctypes
import sys
from pathlib import Path

__all__ = ["free_memory"]

PROC, CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")


def free_memory(*, proc: Path = PROC, cgroups: Path = CGROUPS) -> int | None:
    """Bytes, swap included; None where the system does not say (macOS).

    It is what could be had at most, so that nothing is refused that might fit.
    """
    if sys.platform == "win32":
        return _free_on_windows()
    memory = _system_memory(proc)
    swap = memory.get("SwapFree:", 0)
    found = [_free_in_address_space(proc), *_free_in_groups(proc, cgroups, swap)]
    if "MemAvailable:" in memory:
        found.append(memory["MemAvailable:"] + swap)
    return min((free for free in found if free is not None), default=None)


def _system_memory(proc: Path) -> dict[str, int]:
    """Bytes by the names of /proc/meminfo; none if the system has no such file."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        lines = (line.split() for line in (proc / "meminfo").read_text().splitlines())
        return {words[0]: int(words[1]) * 1024 for words in lines}
    return {}


def _free_in_address_space(proc: Path) -> int | None:
    """What `ulimit -v` leaves."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource  # not on Windows

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit != resource.RLIM_INFINITY:
            pages = int((proc / "self/statm").read_text().split()[0])
            return max(0, limit - pages * resource.getpagesize())
    return None


def _free_in_groups(proc: Path, cgroups: Path, swap: int) -> list[int]:
    """What the control groups of this process leave, which is how containers are limited."""
    found = []
    with contextlib.suppress(OSError):
        for line in (proc / "self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers == "":  # version 2
                root, names = cgroups, ("memory.max", "memory.current")
            elif "memory" in controllers.split(","):
                root = cgroups / "memory"
                names = ("memory.limit_in_bytes", "memory.usage_in_bytes")
            else:
                continue
            group = root / path.strip("/")
            # A container sees its own group as the root, whatever its path is outside.
            while group != root.parent:
                if (free := _free_in_group(group, *names, swap)) is not None:
                    found.append(free)
                group = group.parent
    return found


def _free_in_group(group: Path, limit: str, usage: str, swap: int) -> int | None:
    with contextlib.suppress(OSError, ValueError):  # no such file, or "max"
        most, used = int((group / limit).read_text()), int((group / usage).read_text())
        # Cached files count as used, and are given back when they are in the way.
        cached = 0
        with contextlib.suppress(OSError, ValueError):
            for name, value in map(str.split, (group / "memory.stat").read_text().splitlines()):
                if name in ("inactive_file", "active_file"):
                    cached += int(value)
        with contextlib.suppress(OSError, ValueError):  # no such file, or "max"
            swap = min(swap, int((group / "memory.swap.max").read_text()))
        return max(0, most - used + cached + swap)
    return None


def _free_on_windows() -> int | None:
    """What can still be committed, by GlobalMemoryStatusEx."""
    # Two numbers of 4 bytes, of which the first is the size, then seven of 8 bytes; the fourth of
    # those is the free part of memory and paging file.
    status = (ctypes.c_uint64 * 8)(64)
    kernel = getattr(ctypes, "windll").kernel32  # noqa: B009 - it exists only on Windows
    return int(status[4]) if kernel.GlobalMemoryStatusEx(status) else None
