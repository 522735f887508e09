"""The faults of a container: each module has the checks of one subject, and `checks` calls all of them."""
