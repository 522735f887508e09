"""Faults of a container that can be found before anything is built."""
