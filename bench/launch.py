"""Start a program, wait for it, and print what it took, as JSON.

A program of its own, with nothing loaded: Linux counts the memory of whoever started a process as that process's
peak, so a large parent would hide what a small child needs.
"""

from __future__ import annotations

import json
import os
import sys
import time


def main() -> None:
    """Read from standard input what to start, in which folder, and where its output goes."""
    order = json.load(sys.stdin)
    os.chdir(order["directory"])
    writing = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    files = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, order["out"], writing, 0o600),
        (os.POSIX_SPAWN_OPEN, 2, order["err"], writing, 0o600),
    ]
    arguments = order["arguments"]
    started = time.perf_counter()
    pid = os.posix_spawn(arguments[0], arguments, order["environment"], file_actions=files)
    _, status, usage = os.wait4(pid, 0)
    ended = time.perf_counter()
    unit = 1 if sys.platform == "darwin" else 1024
    taken = {
        "code": os.waitstatus_to_exitcode(status),
        "seconds": ended - started,
        "processor_seconds": usage.ru_utime + usage.ru_stime,
        "peak_bytes": usage.ru_maxrss * unit,
    }
    json.dump(taken, sys.stdout)


if __name__ == "__main__":
    main()
