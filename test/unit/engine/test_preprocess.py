"""Our preprocessing against the official one from the wheel: equal to the bit."""

import importlib.util
import os
import sys
from types import ModuleType

from da3_ros.engine.preprocess import METHODS, network_size, normalise, preprocess
from da3_ros.errors import InputError
import numpy as np
import pytest
import torch

SIZES = [(640, 480), (1280, 720), (1920, 1080), (424, 240), (320, 240), (504, 376), (375, 1242)]


def _transforms() -> ModuleType:
    """Stand in for the three torchvision classes that the official code calls."""

    class ToTensor:
        """PIL image to float32 in [0, 1]."""

        def __call__(self, image: object) -> torch.Tensor:
            return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous().float().div(255)

    class Normalize:
        """Subtract the mean, divide by the deviation."""

        def __init__(self, mean: list[float], std: list[float]) -> None:
            self.mean, self.std = torch.tensor(mean), torch.tensor(std)

        def __call__(self, image: torch.Tensor) -> torch.Tensor:
            return image.sub(self.mean[:, None, None]).div(self.std[:, None, None])

    module = ModuleType('torchvision.transforms')
    module.ToTensor, module.Normalize, module.CenterCrop = ToTensor, Normalize, None
    return module


@pytest.fixture(scope='module')
def official() -> object:
    """Return the official InputProcessor."""
    if importlib.util.find_spec('depth_anything_3') is None:
        if os.environ.get('CI') == 'true':
            pytest.fail('depth_anything_3 is not installed: parity cannot be shown')
        pytest.skip('depth_anything_3 is not installed')
    with pytest.MonkeyPatch.context() as patch:
        if importlib.util.find_spec('torchvision') is None:
            package = ModuleType('torchvision')
            package.transforms = _transforms()
            patch.setitem(sys.modules, 'torchvision', package)
            patch.setitem(sys.modules, 'torchvision.transforms', package.transforms)
        if importlib.util.find_spec('imageio') is None:  # imported, not called
            patch.setitem(sys.modules, 'imageio', ModuleType('imageio'))
        from depth_anything_3.utils.io.input_processor import InputProcessor

        yield InputProcessor()


@pytest.fixture(scope='module')
def pictures() -> dict[tuple[int, int], np.ndarray]:
    """Return noise on a gradient: any resize that differs shows."""
    generator = np.random.default_rng(0)
    return {
        (width, height): (
            generator.integers(0, 200, (height, width, 3))
            + np.linspace(0, 55, width).astype(int)[None, :, None]
        ).astype(np.uint8)
        for width, height in SIZES
    }


@pytest.mark.parametrize('method', METHODS)
@pytest.mark.parametrize('size', SIZES)
def test_equals_the_official_processor(
    official: object,
    pictures: dict[tuple[int, int], np.ndarray],
    size: tuple[int, int],
    method: str,
) -> None:
    width, height = size
    intrinsics = np.array([[500.0, 0, width / 2 + 7], [0, 510, height / 2 - 3], [0, 0, 1]])
    batch, _, official_intrinsics = official(
        [pictures[size]],
        intrinsics=[intrinsics],
        process_res=504,
        process_res_method=method,
        sequential=True,
    )
    ours = preprocess(pictures[size], 504, method, intrinsics)
    assert ours.image.dtype == torch.float32
    assert torch.equal(ours.image, batch[0])
    assert tuple(ours.image.shape[:0:-1]) == network_size(width, height, 504, method)
    np.testing.assert_allclose(ours.intrinsics, official_intrinsics[0], rtol=1e-6)


@pytest.mark.parametrize(
    ('size', 'expected'),
    [
        ((640, 480), (504, 378)),
        ((1280, 720), (504, 280)),
        ((1920, 1080), (504, 280)),
        ((424, 240), (504, 280)),
        ((320, 240), (504, 378)),
        ((504, 376), (504, 378)),
    ],
)
def test_network_size(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert network_size(*size) == expected


def test_crop_rounds_down() -> None:
    assert network_size(504, 376, method='upper_bound_crop') == (504, 364)


def test_intrinsics_follow_the_pixels() -> None:
    """The ray through the corner of the picture stays the ray through the corner."""
    intrinsics = np.array([[400.0, 0, 310], [0, 420, 250], [0, 0, 1]])
    made = preprocess(np.zeros((480, 640, 3), np.uint8), 224, intrinsics=intrinsics)
    height, width = made.image.shape[1:]
    before = np.linalg.solve(intrinsics, [640, 480, 1])
    after = np.linalg.solve(made.intrinsics, [width, height, 1])
    np.testing.assert_allclose(before, after, rtol=1e-12)
    assert intrinsics[0, 0] == 400.0  # the caller's matrix is untouched
    assert preprocess(np.zeros((480, 640, 3), np.uint8), 224).intrinsics is None


def test_normalise_centres_the_mean_colour() -> None:
    mean = np.round(255 * np.array([0.485, 0.456, 0.406])).astype(np.uint8)
    image = normalise(np.broadcast_to(mean, (14, 14, 3)))
    assert image.abs().max() < 0.01


@pytest.mark.parametrize(
    ('rgb', 'message'),
    [
        (np.zeros((48, 64), np.uint8), r'\(H, W, 3\) uint8'),
        (np.zeros((48, 64, 4), np.uint8), r'\(H, W, 3\) uint8'),
        (np.zeros((48, 64, 3), np.float32), 'float32'),
        (np.zeros((0, 64, 3), np.uint8), 'at least one pixel'),
        (np.zeros((4, 4000, 3), np.uint8), 'less than one patch'),
    ],
)
def test_says_what_is_wrong_with_a_picture(rgb: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        preprocess(rgb)


def test_refuses_an_unknown_method() -> None:
    with pytest.raises(InputError, match='stretch.*upper_bound_resize'):
        preprocess(np.zeros((48, 64, 3), np.uint8), method='stretch')
