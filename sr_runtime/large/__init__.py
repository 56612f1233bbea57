"""Image files too large for memory: read by rows, kept as rows, written from rows."""
