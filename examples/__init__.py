"""Programs that show typedbus at work; each is run from the root of the checkout."""
