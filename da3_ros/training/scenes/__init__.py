"""Endless procedural scenes with exact depth: the training data, and what the demo films."""
