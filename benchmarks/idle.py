"""Was the machine idle during a benchmark? Prints the load, and the CPU time that other processes took.

Every benchmark calls `idle.watch()` after it has read its options. The line is printed when the benchmark ends.

A busy machine makes every time longer, and it can make a ratio better: it slows many small steps most.
The CPU time of other processes is that of the machine (/proc/stat, only on Linux) minus that of this process
and of the child processes that it waited for.
"""

import atexit
import os
import sys
import time
from pathlib import Path

# Processes that ran or waited, averaged over the minute before the benchmark. It decides only where the CPU time of
# other processes is not known, because a benchmark that has just ended counts as load too.
BUSY_LOAD = 0.5
BUSY_SHARE = 0.05  # of the time of one core


def watch() -> None:
    """Watch the machine from now on. At exit, print a line on stderr, and a warning if the machine was busy."""
    load, start, total, own = os.getloadavg()[0], time.perf_counter(), total_seconds(), own_seconds()

    def report() -> None:
        now = total_seconds()
        others = None if total is None or now is None else max(0.0, now - total - (own_seconds() - own))
        print(summary(load, os.getloadavg()[0], others, time.perf_counter() - start), file=sys.stderr)

    atexit.register(report)


def summary(before: float, after: float, others: float | None, seconds: float) -> str:
    """The load before and after, and the CPU seconds of other processes; None if they are not known."""
    known = "not known" if others is None else f"{others:.1f} s in {seconds:.0f} s"
    line = f"load {before:.2f} before, {after:.2f} after; CPU time of other processes: {known}"
    busy = before > BUSY_LOAD if others is None else others > BUSY_SHARE * seconds
    if busy:
        line += "\nWARNING: the machine was busy, so the times are not reliable; measure again when it is idle"
    return line


def total_seconds() -> float | None:
    """The CPU time that all processes took since the machine started; None without /proc/stat."""
    try:
        first = Path("/proc/stat").read_text().split("\n", 1)[0]
    except OSError:
        return None
    user, nice, system, _, _, irq, softirq, steal = map(int, first.split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def own_seconds() -> float:
    """The CPU time of this process and of the child processes that it waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
