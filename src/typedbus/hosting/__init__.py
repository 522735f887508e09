"""A bus in a process that belongs to somebody else; import the module for what serves it."""
