"""Reads packets as the page does, to test what is written."""

import json

import numpy as np


def read_packet(data: bytes) -> tuple[dict, dict[str, bytes]]:
    """Return the header and the buffers of a packet."""
    size = int.from_bytes(data[:4], 'little')
    header = json.loads(data[4 : 4 + size])
    body = data[4 + size :]
    places = header.pop('buffers')
    return header, {name: body[at : at + length] for name, (at, length) in places.items()}


def depth_of(header: dict, buffers: dict[str, bytes]) -> tuple[np.ndarray, np.ndarray]:
    """Return depth (H, W), NaN where invalid, and which pixels are points."""
    shape = header['height'], header['width']
    packed = np.frombuffer(buffers['depth'], '<u2').reshape(shape)
    depth = (packed >> 1) * header['depth_unit']
    return np.where(packed >> 1, depth, np.nan), (packed & 1).astype(bool)
