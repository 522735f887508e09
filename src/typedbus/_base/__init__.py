"""Data and pure functions on which every other package builds: states, events, exceptions, limits, the clock, ordering, and reading code without running it."""
