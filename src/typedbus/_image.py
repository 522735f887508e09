"""What this process runs, and how it is replaced by the same program anew."""
