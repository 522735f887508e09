"""The intake: a thread that reads the orders file."""

import os
import threading
import time
from pathlib import Path
from typing import BinaryIO

from examples.shop.channels import lines_read
from examples.shop.desk import Desk
from typedbus import Bus, State


class Intake:
    """
    Passes the orders file to the desk, line by line, and requests the exit at its end.

    It begins when the whole shop has started; `stop` waits for the current order.
    """

    _file: BinaryIO
    _thread: threading.Thread

    def __init__(self, bus: Bus, desk: Desk, orders: Path, *, orders_per_second: int = 0) -> None:
        self._bus = bus
        self._desk = desk
        self._orders = orders
        self._seconds_each = 1 / orders_per_second if orders_per_second else 0.0
        self._stopping = threading.Event()

    def start(self) -> None:
        """
        Open the file and start the thread.

        Raises:
            SystemExit: The file cannot be read.
        """
        try:
            self._file = self._orders.open("rb")
        except OSError as error:
            text = f"error: orders file {self._orders}: {error.strerror}; give another with --orders FILE"
            raise SystemExit(text) from None
        self._stopping.clear()
        self._thread = threading.Thread(target=self._work, name="intake")
        self._thread.start()

    def stop(self) -> None:
        """Wait for the current order, and close the file."""
        self._stopping.set()
        self._thread.join()
        self._file.close()

    def _work(self) -> None:
        # A start that fails elsewhere goes from STARTING to STOPPING.
        if self._bus.wait((State.STARTED, State.STOPPING)) is not State.STARTED:
            return
        try:
            self._read()
        except Exception as error:  # so that the exit status shows it
            self._bus.request_exit(error)

    def _read(self) -> None:
        publish = self._bus[lines_read].publish
        size, done, number = os.fstat(self._file.fileno()).st_size, 0, 0
        began = time.monotonic()
        for number, raw in enumerate(self._file, 1):
            ahead = began + number * self._seconds_each - time.monotonic()
            if self._stopping.wait(max(0.0, ahead)):
                return
            try:
                self._desk.take(number, raw)
            except Exception as error:
                error.add_note(f"while line {number} of {self._orders} was taken")
                raise
            done += len(raw)
            publish(number, share=done / size)
        publish(number, share=1.0)
        self._bus.request_exit()
