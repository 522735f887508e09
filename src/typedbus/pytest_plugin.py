"""What pytest gets of typedbus: containers that run for a test, and what a test left behind."""
