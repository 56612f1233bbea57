"""Preparing data sets, once: downloaded or taken from a folder, checked, decoded and packed."""
