"""Settings of a site, from files, the environment and options, checked before anything is built."""
