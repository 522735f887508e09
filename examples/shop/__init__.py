"""
A shop that takes orders from a file and keeps its books in SQLite.

``python -m examples.shop`` runs it; ``--help`` tells the choices. Begin to read
in `container`, which says what the shop consists of, and `channels`, which says
what its parts tell each other.
"""
