"""The container: declarations, injection, and building, starting and running components."""
