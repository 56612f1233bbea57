"""Many images: claimed, read, upscaled and written side by side, and what became of each."""
