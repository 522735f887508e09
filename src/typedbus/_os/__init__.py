"""What the library needs of the operating system: forks, signals that are held, locks of files, standard streams, and replacing the process."""
