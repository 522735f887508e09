"""The containers of the recordings."""
