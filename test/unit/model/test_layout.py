"""The layout of the official files and the constants of the official configurations."""

from collections.abc import Callable
import importlib.util
import math
from pathlib import Path
import re

from da3_ros.model import load_model
from da3_ros.model.layout import official_shapes
from da3_ros.model.presets import NestedConfig, NetworkConfig, NETWORKS, preset_named
from da3_ros.model.weights import build_network, network_config, save_model
from omegaconf import OmegaConf
import pytest
from safetensors.torch import load_file
import torch


@pytest.mark.parametrize('config', NETWORKS, ids=lambda config: config.name)
def test_keys_and_shapes_are_the_official_ones(
    config: NetworkConfig, official_network_of: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    linspace = torch.linspace
    monkeypatch.setattr(torch, 'linspace', lambda *a, **k: linspace(*a, **k | {'device': 'cpu'}))
    with torch.device('meta'):
        official = official_network_of(config)
        ours = build_network(config)
    expected = {f'model.{key}': tuple(t.shape) for key, t in official.state_dict().items()}
    # The ray branch has one norm under four names; safetensors keeps the first.
    tied = re.compile(r'\.output_conv2_aux\.[123]\.2\.(weight|bias)$')
    expected = {key: shape for key, shape in expected.items() if not tied.search(key)}
    assert official_shapes(ours, config) == expected


@pytest.mark.parametrize(
    'config', [c for c in NETWORKS if c.name != 'da3-embedded'], ids=lambda config: config.name
)
def test_constants_are_the_official_ones(config: NetworkConfig) -> None:
    if isinstance(config, NestedConfig):
        branches = official_constants(config.name)
        assert branches['anyview']['__inherit__'].endswith(f'.{config.any_view.name}')
        assert branches['metric']['__inherit__'].endswith(f'.{config.metric.name}')
        return
    official = official_constants(config.name)
    trunk, head = official['net'], official['head']
    starts = (config.alt_start, config.qk_norm_start, config.rope_start)
    if not config.is_any_view:
        assert starts == (config.depth,) * 3
        starts = (-1,) * 3
    assert (trunk['alt_start'], trunk['qknorm_start'], trunk['rope_start']) == starts
    assert tuple(trunk['out_layers']) == config.out_layers
    assert trunk['cat_token'] == config.is_any_view
    width = {'vits': 384, 'vitb': 768, 'vitl': 1024, 'vitg': 1536}[trunk['name']]
    assert (config.embed_dim, config.tap_dim) == (width, head['dim_in'])
    assert (config.head_features, config.head_channels) == (
        head['features'],
        tuple(head['out_channels']),
    )
    assert config.has_gaussians == ('gs_head' in official)


def official_constants(name: str) -> dict:
    package = importlib.util.find_spec('depth_anything_3').submodule_search_locations[0]
    path = Path(package) / 'configs' / f'{name}.yaml'
    return OmegaConf.to_container(OmegaConf.load(path), resolve=True)


PARAMETERS = {
    'da3-small': 34_299_463,
    'da3-base': 135_366_599,
    'da3-large': 410_941_767,
    'da3-giant': 1_355_674_125,
    'da3mono-large': 334_171_394,
    'da3metric-large': 334_171_394,
    'da3nested-giant-large': 1_355_674_125 + 334_171_394,
}


@pytest.mark.parametrize('name', PARAMETERS)
def test_sizes_are_the_official_ones(name: str) -> None:
    config = preset_named(name)
    with torch.device('meta'):
        shapes = official_shapes(build_network(config), config)
    assert sum(math.prod(shape) for shape in shapes.values()) == PARAMETERS[name]


@pytest.mark.parametrize('network', ['single-view-miniature', 'nested-miniature'])
def test_round_trip_of_the_family(network: str, pair_of: Callable, tmp_path: Path) -> None:
    """In the official layout, which the official network takes without a word."""
    pair, path = pair_of(network), tmp_path / 'm.safetensors'
    save_model(pair.ours, path)
    assert network_config(path) == pair.config
    net = load_model(path)
    assert net.config == pair.config
    expected = pair.ours.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in net.state_dict().items())
    written = {key.removeprefix('model.') for key in load_file(path)}
    missing, unexpected = pair.official.load_state_dict(load_prefixed(path), strict=False)
    assert not unexpected and written <= pair.official.state_dict().keys()
    assert all('_aux.' in key for key in missing)


def load_prefixed(path: Path) -> dict[str, torch.Tensor]:
    """Load a file under the names of the official network; its dead levels stay as they were."""
    dead = re.compile(r'output_conv[12]_aux\.[012]\.')
    return {
        key.removeprefix('model.'): tensor
        for key, tensor in load_file(path).items()
        if not dead.search(key)
    }
