"""Servers as components, with a common contract; import the module that you need."""
