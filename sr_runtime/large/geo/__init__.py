"""GeoTIFFs: all bands upscaled by rows, and written as a Cloud Optimized GeoTIFF."""
