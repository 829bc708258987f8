"""Metrics of depth, poses and trajectories as pure functions, and sequences with truth."""
