"""Entry point of the local runner's worker processes: Beam's own, quieter, and gone when its parent is.

A worker of a killed run must not go on writing beside the run that resumes it.
"""

import logging
import os
import sys
import threading
import time

from apache_beam.runners.worker import sdk_worker_main

import algok.transforms  # noqa: F401  registers the coders

__all__ = ["main"]

#: Seconds between two looks at the parent.
PERIOD_S = 0.5


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(PERIOD_S)
    os._exit(1)


def main() -> None:
    """Run Beam's SDK worker. Started by ``pipeline.jobs`` with the driver's process id as its argument, for the driver
    may be gone before this line is reached; takes its other settings from Beam's environment variables."""
    driver = int(sys.argv.pop(1))
    threading.Thread(target=_end_with, args=(driver,), daemon=True).start()
    # Importing Beam has set up a handler for everything; what a user can act on arrives as an error of the job.
    for handler in logging.getLogger().handlers:
        handler.setLevel(logging.ERROR)
    sdk_worker_main.main(sys.argv)


if __name__ == "__main__":
    main()
