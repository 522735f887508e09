"""Something done again and again in a thread of its own."""
