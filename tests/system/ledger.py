"""A service with data: it counts on in a file of the replicated folder, from where that stands.

Run as a script with that file, and the file of its stamps (see ``stamper.py``). Each line of the
ledger is a number and the epoch in which it was written; a number that is missing, or there twice,
shows that a node began without something that another had written.
"""

import os
import sys
import time


def main() -> None:
    epoch = os.environ["SBS_EPOCH"]
    with (
        open(sys.argv[1], "a+", encoding="ascii", buffering=1) as ledger,
        open(sys.argv[2], "a", encoding="ascii", buffering=1) as stamps,
    ):
        ledger.seek(0)
        number = sum(1 for _ in ledger)
        while True:
            number += 1
            ledger.write(f"{number} {epoch}\n")
            for _ in range(20):
                stamps.write(f"{time.clock_gettime_ns(time.CLOCK_MONOTONIC)} {epoch}\n")
                time.sleep(0.001)


if __name__ == "__main__":
    main()
