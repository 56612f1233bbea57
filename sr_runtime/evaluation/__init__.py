"""Measuring quality: the metrics, a data set's pairs of images, and a model's scores on them."""
