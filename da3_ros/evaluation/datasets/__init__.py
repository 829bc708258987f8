"""Readers of benchmarks: one file for each layout on disk, each a ``Dataset``."""
