"""
How the page is told something: one packet is a kind, a JSON header, and arrays as they lie.

A packet is the length of its JSON in four bytes, the JSON, padded with spaces so that what follows
starts at a multiple of eight, and the buffers, each at a multiple of eight; all is little-endian.
The JSON has ``kind``, the fields of the header, and ``buffers``: name to [offset, bytes], counted
from the end of the JSON. ``page/packets.mjs`` reads them.
"""

from collections.abc import Mapping
import json
import math
from typing import Any

import numpy as np

_ALIGNMENT = 8


def encode(
    kind: str, header: Mapping[str, Any], buffers: Mapping[str, np.ndarray | bytes] | None = None
) -> bytes:
    """Return a packet; numbers in ``header`` that are not finite become null."""
    places, body = {}, bytearray()
    for name, values in (buffers or {}).items():
        data = values if isinstance(values, bytes) else _little_endian(values)
        places[name] = [len(body), len(data)]
        body += data
        body += bytes(-len(body) % _ALIGNMENT)
    text = json.dumps(finite({'kind': kind, **header, 'buffers': places}), allow_nan=False)
    head = text.encode()
    head += b' ' * (-(4 + len(head)) % _ALIGNMENT)
    return len(head).to_bytes(4, 'little') + head + bytes(body)


def finite(value: Any) -> Any:
    """Return a value as JSON knows it: None for NaN and infinities, lists for arrays."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {name: finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value


def _little_endian(values: np.ndarray) -> bytes:
    """Return the bytes of an array in the order that the page reads."""
    return np.ascontiguousarray(values).astype(values.dtype.newbyteorder('<')).tobytes()
