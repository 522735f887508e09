"""Channels: their declarations, the listeners of a channel on a bus, and the generated code of a publish."""
