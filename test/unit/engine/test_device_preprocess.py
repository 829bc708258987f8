"""Preprocessing by matrices gives the official pixels, to the rounding between two resizes."""

import cv2
from da3_ros.engine.device import finish
from da3_ros.engine.device_preprocess import _MAX_LENSES, DevicePreprocess
from da3_ros.engine.preprocess import preprocess, Preprocessed
from da3_ros.errors import InputError
from da3_ros.geometry.cameras import Distortion
import numpy as np
import pytest
import torch

K = np.array([[500.0, 0.0, 310.0], [0.0, 510.0, 245.0], [0.0, 0.0, 1.0]])
# (width, height) of the camera and resolution: shrinking, enlarging, both, neither, odd ones.
SIZES = [
    *((1280, 720, 504), (640, 480, 504), (320, 240, 504), (424, 240, 504), (504, 376, 504)),
    *((504, 378, 504), (640, 480, 224), (101, 333, 224)),
]
# The device, and whether the kernel runs: interpreted on a CPU.
ON_GPU = [('cuda', False), ('cuda', True)]
WAYS = [
    ('cpu', False),
    ('cpu', True),
    *(pytest.param(*way, marks=pytest.mark.gpu) for way in ON_GPU),
]
# Triton's interpreter takes its time.
SMALL_SIZES = [(160, 90, 56), (40, 30, 56), (53, 30, 56), (63, 47, 56), (56, 42, 56), (27, 89, 56)]
LENSES = {
    'plumb_bob': (0.4, 0.1, 0.002, -0.001, 0.0),  # the corners look past what was taken
    'rational_polynomial': (-0.3, 0.1, 0.0, 0.0, 0.01, 0.1, -0.1, 0.02),
    'equidistant': (0.5, 0.1, 0.0, 0.0),
}


def way(device: str, is_fused: bool) -> DevicePreprocess:
    """Return one way to preprocess; skips where it cannot be gone."""
    if is_fused:
        pytest.importorskip('triton')
        if device == 'cpu' and torch.cuda.is_available():
            pytest.skip('Triton interprets only where there is no GPU')
    return DevicePreprocess(torch.device(device), is_fused)


def picture(width: int, height: int, detail: int) -> np.ndarray:
    """Return a picture of ``detail`` blobs along its width; no end of the range is clipped."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(60, 190, (detail * height // width + 1, detail, 3), np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def assert_alike(got: Preprocessed, expected: Preprocessed, mean: float = 0.4) -> None:
    """Assert that no pixel is off by more than a level of 255, and few are."""
    levels = np.abs(got.rgb.astype(int) - expected.rgb.astype(int))
    assert levels.max() <= 1
    assert levels.mean() <= mean
    assert (got.image.cpu() - expected.image).abs().max() < 0.02  # a level is 0.0175
    np.testing.assert_allclose(got.intrinsics, expected.intrinsics)


@pytest.mark.parametrize(
    ('width', 'height', 'resolution', 'device', 'is_fused'),
    [
        *((*size, 'cpu', False) for size in SIZES),
        *((*size, 'cpu', True) for size in SMALL_SIZES),
        *(pytest.param(*size, *way, marks=pytest.mark.gpu) for size in SIZES for way in ON_GPU),
    ],
)
def test_pixels_are_the_official_ones(
    width: int, height: int, resolution: int, device: str, is_fused: bool
) -> None:
    preprocess_there = way(device, is_fused)
    for detail in (8, width):
        rgb = picture(width, height, detail)
        expected = preprocess(rgb, resolution, intrinsics=K)
        got = preprocess_there(rgb, resolution, intrinsics=K)
        finish(torch.device(device))
        assert_alike(got, expected)
        assert got.image.device.type == device


@pytest.mark.parametrize(('device', 'is_fused'), WAYS)
@pytest.mark.parametrize('model', LENSES)
def test_distortion_is_taken_away(model: str, device: str, is_fused: bool) -> None:
    """Black borders included: those are of this picture what a mask tells of a white one."""
    preprocess_there, rgb = way(device, is_fused), picture(80, 60, 20)
    lens = {
        'intrinsics': np.array([[57.0, 0.0, 39.0], [0.0, 59.0, 30.5], [0.0, 0.0, 1.0]]),
        'distortion': Distortion(model, LENSES[model]),
    }
    for _ in range(2):  # made, and kept
        got = preprocess_there(rgb, 56, **lens)
        finish(torch.device(device))
        assert_alike(got, preprocess(rgb, 56, **lens))
    assert np.abs(got.rgb.astype(int) - preprocess(rgb, 56).rgb).mean() > 2
    straight = preprocess_there(rgb, 56, distortion=lens['distortion'])
    finish(torch.device(device))
    np.testing.assert_allclose(straight.rgb, preprocess(rgb, 56).rgb, atol=1)


def test_few_lenses_are_kept() -> None:
    """A sender of ever new calibrations does not fill the memory."""
    preprocess_there, rgb = way('cpu', True), picture(28, 28, 8)
    for i in range(_MAX_LENSES + 4):
        lens = Distortion('plumb_bob', (0.01 + 0.01 * i, 0.0, 0.0, 0.0, 0.0))
        preprocess_there(rgb, 14, intrinsics=K, distortion=lens)
    assert len(preprocess_there._sources) == _MAX_LENSES


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
