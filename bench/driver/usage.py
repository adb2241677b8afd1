"""What a process and its children have used: CPU time and memory, as the kernel accounts for them."""

from pathlib import Path


def family(pid):
    """The process and all that descend from it."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except OSError:
            continue
        parents[int(stat.parent.name)] = int(text.rpartition(")")[2].split()[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def cpu_seconds(pid):
    """CPU time of all threads, to the nanosecond: /proc/PID/stat counts in hundredths of a second."""
    total = 0
    for member in family(pid):
        for schedstat in Path(f"/proc/{member}/task").glob("*/schedstat"):
            try:
                total += int(schedstat.read_text().split()[0])
            except OSError:
                continue
    return total / 1e9


def memory_kib(pid):
    """Resident, proportional and own memory in KiB, of the whole family."""
    sums = {"rss": 0, "pss": 0, "own": 0}
    for member in family(pid):
        for line in Path(f"/proc/{member}/smaps_rollup").read_text().splitlines()[1:]:
            name, kib = line.split(":")[0], int(line.split()[1])
            sums["rss"] += kib if name == "Rss" else 0
            sums["pss"] += kib if name == "Pss" else 0
            sums["own"] += kib if name.startswith("Private_") and name != "Private_Hugetlb" else 0
    return sums
