"""Interfaces to the operating system: forks, held signals, file locks, standard streams, process replacement."""
