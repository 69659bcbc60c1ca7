"""How much memory this process and its children can still take: the machine's, or the container's if that is less."""

from pathlib import Path

CGROUP_V2 = ("memory.max", "memory.current", "inactive_file")
CGROUP_V1 = ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_inactive_file")


def free_memory_bytes(root: Path = Path("/")) -> int:
    """Return the bytes that can be taken before the kernel kills; what is only cached counts as free.

    Args:
        root: where /proc and /sys lie.
    """
    machine = _fields(root / "proc/meminfo")["MemAvailable:"] * 1024
    return min([machine, *_container_bytes(root / "sys/fs/cgroup")])


def _container_bytes(cgroup: Path) -> list[int]:
    for limit_name, usage_name, cached_name in (CGROUP_V2, CGROUP_V1):
        limit_file = cgroup / limit_name
        if limit_file.exists() and (limit := limit_file.read_text().strip()) != "max":
            used = int((cgroup / usage_name).read_text())
            return [int(limit) - used + _fields((cgroup / usage_name).with_name("memory.stat"))[cached_name]]
    return []


def _fields(file: Path) -> dict[str, int]:
    return {words[0]: int(words[1]) for words in map(str.split, file.read_text().splitlines())}
