"""The bus: its channels, its state machine, and the scheduler that calls hooks within limits."""
