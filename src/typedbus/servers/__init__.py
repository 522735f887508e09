"""Servers as components, on one contract; import the module that you need."""
