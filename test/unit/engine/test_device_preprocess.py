"""Preprocessing by matrices gives the official pixels, to the rounding between two resizes."""

import cv2
from da3_ros.engine.device_preprocess import DevicePreprocess
from da3_ros.engine.preprocess import preprocess
from da3_ros.errors import InputError
import numpy as np
import pytest
import torch

K = np.array([[500.0, 0.0, 310.0], [0.0, 510.0, 245.0], [0.0, 0.0, 1.0]])
# (width, height) of the camera and resolution: shrinking, enlarging, both, neither, odd ones.
SIZES = [
    *((1280, 720, 504), (640, 480, 504), (320, 240, 504), (424, 240, 504), (504, 376, 504)),
    *((504, 378, 504), (640, 480, 224), (101, 333, 224)),
]
DEVICES = ['cpu', pytest.param('cuda', marks=pytest.mark.gpu)]


def picture(width: int, height: int, detail: int) -> np.ndarray:
    """Return a picture of ``detail`` blobs along its width; no end of the range is clipped."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(60, 190, (detail * height // width + 1, detail, 3), np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize('device', DEVICES)
@pytest.mark.parametrize(('width', 'height', 'resolution'), SIZES)
def test_pixels_are_the_official_ones(
    width: int, height: int, resolution: int, device: str
) -> None:
    device_preprocess = DevicePreprocess(torch.device(device))
    for detail in (8, width):
        rgb = picture(width, height, detail)
        expected = preprocess(rgb, resolution, intrinsics=K)
        got = device_preprocess(rgb, resolution, intrinsics=K)
        levels = np.abs(got.rgb.astype(int) - expected.rgb.astype(int))
        assert levels.max() <= 1
        assert levels.mean() <= 0.4
        assert (got.image.cpu() - expected.image).abs().max() < 0.02  # a level is 0.0175
        np.testing.assert_allclose(got.intrinsics, expected.intrinsics)
        assert got.image.device.type == device


def test_what_is_no_picture_is_refused() -> None:
    with pytest.raises(InputError, match='expected .H, W, 3. uint8'):
        DevicePreprocess(torch.device('cpu'))(np.zeros((4, 4), np.uint8))


def test_without_intrinsics_there_are_none() -> None:
    got = DevicePreprocess(torch.device('cpu'))(picture(640, 480, 8), 224)
    assert got.intrinsics is None


@pytest.mark.gpu
def test_the_staging_memory_may_be_used_again() -> None:
    run = DevicePreprocess(torch.device('cuda', 0))
    first, second = picture(640, 480, 8), 255 - picture(640, 480, 8)
    before = run(first, 224).image.clone()
    run(second, 224)
    assert torch.equal(run(first, 224).image, before)
