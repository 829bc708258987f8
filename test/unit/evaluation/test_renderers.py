"""What draws Gaussians: the choice, and what gsplat is handed, by a stand-in for it."""

from importlib.machinery import ModuleSpec
import math
import sys
from types import ModuleType

from da3_ros.errors import ConfigError
from da3_ros.evaluation.renderers import AUTO, chosen_renderer, render_with_gsplat, RENDERERS
from da3_ros.evaluation.splatting import render
from da3_ros.model.gaussians import Gaussians
import pytest
from scipy.spatial.transform import Rotation
import torch
from torch import Tensor

CPU, CUDA = torch.device('cpu'), torch.device('cuda')
K = torch.tensor([[50.0, 0, 17], [0, 48.0, 12], [0, 0, 1]])
SIZE = (24, 32)
TURNS = Rotation.from_euler('xyz', [[0, 0, 90], [30, 0, 0], [10, 50, -20]], degrees=True)
CENTRE = torch.tensor([0.3, -0.1, -0.5])
C0 = 0.28209479177387814


def gaussians() -> Gaussians:
    """Return three long ones in float64, of colours that depend on the side."""
    generator = torch.Generator().manual_seed(0)
    harmonics = 0.3 * torch.randn(3, 3, 9, generator=generator, dtype=torch.float64)
    harmonics[0, :, 0] = torch.tensor([0.4, 0.1, -0.2]) / C0
    return Gaussians(
        means=torch.tensor([[0.0, 0, 2], [0.5, 0.2, 3], [-0.4, 0.1, 2.5]], dtype=torch.float64),
        scales=torch.tensor([[0.3, 0.05, 0.02]], dtype=torch.float64).repeat(3, 1),
        rotations=torch.from_numpy(TURNS.as_quat()[:, [3, 0, 1, 2]].copy()),
        harmonics=harmonics,
        opacities=torch.tensor([0.9, 0.8, 0.7], dtype=torch.float64),
    )


def camera_from_world() -> Tensor:
    """Return (3, 4) of a camera at CENTRE that is turned a little about its own y."""
    turn = torch.tensor(Rotation.from_euler('y', 8, degrees=True).as_matrix(), dtype=torch.float32)
    return torch.cat((turn, -(turn @ CENTRE)[:, None]), dim=1)


class Asked(dict):
    """What gsplat was asked for; it is drawn by the package's own renderer."""

    def rasterization(
        self,
        means: Tensor,
        quats: Tensor,
        scales: Tensor,
        opacities: Tensor,
        colors: Tensor,
        viewmats: Tensor,
        Ks: Tensor,  # noqa: N803
        width: int,
        height: int,
        sh_degree: int | None = None,
    ) -> tuple[Tensor, Tensor, dict]:
        self.update(locals())
        own = Gaussians(means, scales, quats, colors.mT, opacities)
        picture = render(own, viewmats[0], Ks[0], (height, width)).permute(1, 2, 0)[None]
        return picture, picture[..., :1], {}


def put_gsplat(monkeypatch: pytest.MonkeyPatch, rasterization: object) -> None:
    module = ModuleType('gsplat')
    module.__spec__ = ModuleSpec('gsplat', None)
    module.rasterization = rasterization
    monkeypatch.setitem(sys.modules, 'gsplat', module)


def test_gsplat_is_asked_in_its_own_conventions(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked()
    put_gsplat(monkeypatch, asked.rasterization)
    picture = render_with_gsplat(gaussians(), camera_from_world(), K, SIZE)
    shapes = {name: tuple(v.shape) for name, v in asked.items() if isinstance(v, Tensor)}
    assert shapes == {
        **{'means': (3, 3), 'quats': (3, 4), 'scales': (3, 3), 'opacities': (3,)},
        **{'colors': (3, 9, 3), 'viewmats': (1, 4, 4), 'Ks': (1, 3, 3)},
    }
    assert all(v.dtype == torch.float32 for v in asked.values() if isinstance(v, Tensor))
    assert (asked['width'], asked['height'], asked['sh_degree']) == (32, 24, 2)
    # The rows of camera_from_world: the camera's centre goes to its origin.
    centre = asked['viewmats'][0] @ torch.cat((CENTRE, torch.ones(1)))
    torch.testing.assert_close(centre, torch.tensor([0.0, 0, 0, 1]))
    torch.testing.assert_close(asked['Ks'][0], K)
    # A quarter turn about z, w first.
    half = math.sqrt(0.5)
    torch.testing.assert_close(asked['quats'][0], torch.tensor([half, 0, 0, half]))
    # One row a harmonic, then red, green and blue.
    torch.testing.assert_close(asked['colors'][0, 0] * C0, torch.tensor([0.4, 0.1, -0.2]))
    flat = {name: getattr(gaussians(), name).float() for name in Gaussians.__dataclass_fields__}
    expected = render(Gaussians(**flat), camera_from_world(), K, SIZE)
    assert expected.std() > 0.05
    torch.testing.assert_close(picture, expected)


@pytest.mark.parametrize('error', [AttributeError, ImportError])
def test_gsplat_without_kernels_is_a_sentence(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def rasterization(**_: object) -> None:
        raise error('projection lacks')

    put_gsplat(monkeypatch, rasterization)
    with pytest.raises(ConfigError, match=r'no CUDA kernels of its own \(projection lacks\)'):
        render_with_gsplat(gaussians(), camera_from_world(), K, SIZE)


def test_gsplat_is_chosen_where_it_is_and_cuda_too(monkeypatch: pytest.MonkeyPatch) -> None:
    put_gsplat(monkeypatch, None)
    assert chosen_renderer(AUTO, CUDA) == chosen_renderer('gsplat', CUDA) == 'gsplat'
    assert chosen_renderer(AUTO, CPU) == chosen_renderer('torch', CUDA) == 'torch'
    with pytest.raises(ConfigError, match='but the device is cpu; expected both'):
        chosen_renderer('gsplat', CPU)
    monkeypatch.setattr('da3_ros.evaluation.renderers.find_spec', lambda _: None)
    assert chosen_renderer(AUTO, CUDA) == 'torch'
    with pytest.raises(ConfigError, match='but gsplat is not installed; expected both'):
        chosen_renderer('gsplat', CUDA)
    assert RENDERERS == {'torch': render, 'gsplat': render_with_gsplat}
