"""A service that says every millisecond that it runs: the time on the machine's one clock, and
its ``SBS_EPOCH``, a line each in the file named."""

import os
import sys
import time


def main() -> None:
    epoch = os.environ["SBS_EPOCH"]
    with open(sys.argv[1], "a", encoding="ascii", buffering=1) as stamps:
        while True:
            stamps.write(f"{time.clock_gettime_ns(time.CLOCK_MONOTONIC)} {epoch}\n")
            time.sleep(0.001)


if __name__ == "__main__":
    main()
