"""Memory: how much is free, and how much a result takes."""
