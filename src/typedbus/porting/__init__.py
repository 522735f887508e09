"""The parts that reports on code which moves to typed channels have in common."""
