"""A program without async parts does not pay for asyncio."""

import subprocess
import sys

import pytest

PROGRAM = """\
import sys

from typedbus import AsyncChannel, Bus, Channel, ChannelFailures, in_thread

numbers = Channel[[int], int]("numbers")
later = AsyncChannel[[int], int]("later")
bus = Bus()
bus[numbers].subscribe(abs)
bus[numbers].subscribe(lambda number: 1 // number)
bus.start()
assert bus[numbers].publish(1) == [1, 1]
try:
    bus[numbers].publish(0)
except ChannelFailures:
    pass
bus.exit()
loaded = "asyncio" in sys.modules
bus[later]
print(loaded, "asyncio" in sys.modules)
"""


@pytest.mark.slow
def test_asyncio_is_imported_with_the_first_async_channel_on_a_bus() -> None:
    """Neither sync channels and a bus nor the declaration of an async channel import it; dependency-injector does."""
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)

    assert ended.stdout == "False True\n"
