"""
Cameras of another aspect than the others: their pictures fit into the one shape that all have.

A window has one shape. A picture of another aspect is made as large as fits, its aspect kept, and
lies in the middle of grey; what the network says of the grey is nothing, and leaves with it.

Shapes: h w the shape that all have.
"""

from da3_ros.engine.content import Content
from da3_ros.engine.preprocess import network_size, normalise, Preprocessed
from da3_ros.model.presets import IMAGE_MEAN
import numpy as np
import torch

# What the network takes for nothing: the mean of all pictures.
_GREY = np.round(255 * np.array(IMAGE_MEAN)).astype(np.uint8)


def fit(
    width: int, height: int, resolution: int, shape: tuple[int, int]
) -> tuple[int, Content | None]:
    """
    Return the resolution that fits a picture into a shape (width, height), and where it is there.

    A picture that has the shape at the ``resolution`` of all is in no letterbox.

    Raises:
        InputError: if nothing would be left of it.

    """
    if network_size(width, height, resolution) == shape:
        return resolution, None
    scale = min(shape[0] / width, shape[1] / height)
    longest = max(1, int(max(width, height) * scale + 1e-6))
    size = network_size(width, height, longest)
    left, top = ((whole - part) // 2 for whole, part in zip(shape, size, strict=True))
    return longest, Content(left, top, *size)


def letterboxed(
    prepared: Preprocessed, content: Content | None, shape: tuple[int, int]
) -> Preprocessed:
    """Return a picture in a letterbox of a shape (width, height); itself without ``content``."""
    if content is None:
        return prepared
    rgb = np.tile(_GREY, (shape[1], shape[0], 1))
    grey = normalise(rgb[:1, :1]).to(prepared.image)
    rgb[content.pixels] = prepared.rgb
    image = grey.expand(3, shape[1], shape[0]).clone()
    image[(slice(None), *content.pixels)] = prepared.image
    known = prepared.intrinsics
    return Preprocessed(image, rgb, None if known is None else content.placed(known))


def letterboxed_mask(
    seen: torch.Tensor | None, content: Content | None, shape: tuple[int, int]
) -> torch.Tensor | None:
    """Return which pixels of a letterbox show something: ``seen`` of the picture, None for all."""
    if seen is None or content is None:
        return seen
    mask = seen.new_zeros(shape[1], shape[0])
    mask[content.pixels] = seen
    return mask
