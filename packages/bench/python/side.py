"""A Python side of a benchmark: does one round for each directory that it reads on stdin.

usage: side.py SCRIPT WORK ARGUMENTS_AS_JSON

WORK is a generator function of SCRIPT.py that takes the directory and the arguments; what it does
between its first yield and its second is timed, what it does before and after is not. The second may
yield a dictionary of what else is to be said, a column of the table each.
"""

import gc
import importlib
import json
import resource
import sys
import time


def cpu_time():
    """Ticks of all cores since the start: idle, and in all."""
    with open("/proc/stat") as f:
        ticks = [int(field) for field in f.readline().split()[1:9]]
    return ticks[3] + ticks[4], sum(ticks)


def own_cpu():
    """Seconds of CPU of this process and of the children it has waited for."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def main():
    script, name, arguments = sys.argv[1:]
    work = getattr(importlib.import_module(script), name)
    for line in sys.stdin:
        round = work(line.strip(), **json.loads(arguments))
        next(round)
        gc.collect()
        idle_before, all_before = cpu_time()
        cpu_before = own_cpu()
        start = time.perf_counter()
        figures = next(round) or {}
        seconds = time.perf_counter() - start
        cpu = own_cpu() - cpu_before
        idle, all_ticks = cpu_time()
        busy = 1 - (idle - idle_before) / (all_ticks - all_before) if all_ticks > all_before else 0
        for _ in round:
            pass
        measure = {"seconds": seconds, "cpuSeconds": cpu, "busy": busy, "figures": figures}
        print(json.dumps(measure), flush=True)


main()
