"""Appends to a ledger as a process of its own, and says of each record when it is acknowledged.

python -m tests.ledger.writer URL NAME COUNT
"""

from __future__ import annotations

import os
import sys
from datetime import timedelta

from attest.adapters.clock import SystemClock
from attest.adapters.ledger import open_ledger, parse_address
from attest.core.ledger.chain import Entry


def write(url: str, name: str, count: int) -> None:
    """Append so many records; the number and hash of each go to standard output once it is acknowledged."""
    with open_ledger(parse_address(url), clock=SystemClock(), patience=timedelta(minutes=10)) as ledger:
        os.write(1, b"ready\n")
        sys.stdin.readline()
        for number in range(count):
            entry = Entry(type="test.written", environment=name, actor=name, payload={"n": number})
            record = ledger.append(entry)
            os.write(1, f"{number} {record.seq} {record.hash}\n".encode())


if __name__ == "__main__":
    write(sys.argv[1], sys.argv[2], int(sys.argv[3]))
