"""How much memory this process and its children can still take: the machine's, or the container's if that is less."""

from pathlib import Path

CGROUP_V2 = ("memory.max", "memory.current", "inactive_file")
CGROUP_V1 = ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_inactive_file")
"""The files with the limit and the usage, and the field of memory.stat with the page cache that can be reclaimed."""


def free_memory_bytes(root: Path = Path("/")) -> int:
    """Return how many bytes can be allocated before the kernel kills a process. Reclaimable page cache counts as free.

    Args:
        root: the directory that contains /proc and /sys.
    """
    machine_bytes = _fields(root / "proc/meminfo")["MemAvailable:"] * 1024
    return min([machine_bytes, *_container_bytes(root / "sys/fs/cgroup")])


def _container_bytes(cgroup: Path) -> list[int]:
    """The free bytes within the container's limit, as a list of one; empty if it has no limit."""
    for limit_name, usage_name, cached_name in (CGROUP_V2, CGROUP_V1):
        limit_file = cgroup / limit_name
        if limit_file.exists() and (limit := limit_file.read_text().strip()) != "max":
            used = int((cgroup / usage_name).read_text())
            return [int(limit) - used + _fields((cgroup / usage_name).with_name("memory.stat"))[cached_name]]
    return []


def _fields(file: Path) -> dict[str, int]:
    """The name and the number of each line."""
    return {words[0]: int(words[1]) for words in map(str.split, file.read_text().splitlines())}
