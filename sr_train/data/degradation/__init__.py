"""The simulated degradation of training crops: blur, resize, noise and JPEG, twice."""
