"""The networks: one file per architecture."""
