"""PSNR and SSIM against numbers of scikit-image 0.26, and what they can't be asked."""

from da3_ros.errors import InputError
from da3_ros.evaluation.image_quality import psnr, ssim
import numpy as np
import pytest
import torch

ROW, COLUMN = np.mgrid[:24, :32]
TRUTH = np.stack(
    [0.5 + 0.4 * np.sin(COLUMN / 3), 0.5 + 0.4 * np.cos(ROW / 4), ((COLUMN + ROW) % 7) / 7]
)
PICTURE = np.clip(0.8 * TRUTH + 0.05 * np.sin(COLUMN * ROW / 5), 0, 1)


def test_known_numbers() -> None:
    """Of structural_similarity(gaussian_weights, sigma=1.5), and peak_signal_noise_ratio."""
    picture, truth = torch.from_numpy(PICTURE), torch.from_numpy(TRUTH)
    assert ssim(picture, truth) == pytest.approx(0.898829070804009, abs=1e-12)
    assert psnr(picture, truth) == pytest.approx(18.577628327669625, abs=1e-9)


def test_equal_pictures() -> None:
    truth = torch.from_numpy(TRUTH)
    assert ssim(truth, truth) == pytest.approx(1.0)
    assert psnr(truth, truth) == float('inf')


def test_pictures_that_cannot_be_compared() -> None:
    with pytest.raises(InputError, match=r'expected two of \(3, H, W\)'):
        psnr(torch.zeros(3, 20, 20), torch.zeros(3, 20, 21))
    with pytest.raises(InputError, match='11 pixels or more a side'):
        ssim(torch.zeros(3, 10, 20), torch.zeros(3, 10, 20))
