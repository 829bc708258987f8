"""Training data, losses and the training loop."""
