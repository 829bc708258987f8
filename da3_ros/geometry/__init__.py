"""Transforms, cameras and alignment; depends on nothing else of the package but errors."""
