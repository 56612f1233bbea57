"""The simulated damage of training crops: blur, resize, noise and JPEG, twice."""
