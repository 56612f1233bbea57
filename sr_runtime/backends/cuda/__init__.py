"""The few things needed of CUDA's driver."""
