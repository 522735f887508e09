"""The names of CherryPy's process bus, strings as channels and all, over a typed bus."""
