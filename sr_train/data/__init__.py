"""Data sets: fetched, prepared once into packed files, and read as crops and whole images."""
