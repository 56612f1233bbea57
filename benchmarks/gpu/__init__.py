"""One command for any CUDA machine: `python -m benchmarks.gpu`."""
