"""The chaos test with any seed and size: ``python -m tests.chaos --seed 7 --size 30 --deaths 200``."""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from pathlib import Path

from tests.chaos.driver import Driver
from tests.processes import without_frameworks


def main() -> None:
    """Run the driver with the options of the command line; print the seed, the commands and the exit statuses."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--size", type=int, default=30, help="the number of components")
    parser.add_argument("--deaths", type=int, default=200)
    options = parser.parse_args()
    driver = Driver(options.seed, options.size, options.deaths)
    print(f"seed {options.seed}", flush=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, without_frameworks(Path(folder)):
        driver.run()
    print("\n".join(driver.history))
    print(
        f"seed {options.seed}: {driver.ledger.deaths} deaths, {driver.begun} processes, {driver.replaced} replaced, "
        f"exit statuses {dict(driver.statuses)}, {time.monotonic() - began:.1f} s"
    )


if __name__ == "__main__":
    main()
