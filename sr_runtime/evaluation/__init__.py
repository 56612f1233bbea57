"""Measuring quality: metrics, pairs of LR and HR images, whole-image upscaling."""
