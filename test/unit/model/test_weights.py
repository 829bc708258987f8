"""Loading and saving: the official layout to the letter, and a sentence for whatever is wrong."""

from collections.abc import Callable
import json
import logging
from pathlib import Path

from da3_ros.errors import InputError, WeightsError
from da3_ros.model import load_any_view, load_model, ModelConfig, PRESETS, sources
from da3_ros.model.da3 import AnyViewNetwork
from da3_ros.model.layout import official_key
from da3_ros.model.weights import (
    build_network,
    network_config,
    save_model,
    UntrainedModelWarning,
)
from doubles.miniatures import TINY_METRIC, TINY_NESTED
import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file
import torch

TIED = 'model.head.scratch.output_conv2_aux.{}.2.{}'


def rewritten(path: Path, change: Callable[[dict], None]) -> Path:
    """Write a file anew, with the same constants, after a change to its tensors."""
    with safe_open(path, framework='pt') as file:
        constants = file.metadata()
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, constants)
    return path


# -- reading and writing ----------------------------------------------------------------------


def test_reads_a_file_as_the_official_code_writes_it(
    pair_of: Callable, scene_of: Callable, violations: Callable, tmp_path: Path
) -> None:
    """No constants in the file, the tied LayerNorm once; from a directory with config.json too."""
    pair, images = pair_of('small'), scene_of(2).images
    state = {f'model.{key}': tensor for key, tensor in pair.official.state_dict().items()}
    for level in (1, 2, 3):
        del state[TIED.format(level, 'weight')], state[TIED.format(level, 'bias')]
    save_file(state, tmp_path / 'model.safetensors')
    official = pair.run_official(images)
    net = load_model(tmp_path / 'model.safetensors')
    assert violations(net(images, rays=True), official) == {}

    config = {'model_name': 'da3-small', 'config': {'net': {'name': 'vits'}}}
    (tmp_path / 'config.json').write_text(json.dumps(config))
    net = load_model(tmp_path)
    assert violations(net(images, rays=True), official) == {}
    assert (net.is_trained, net.licence, net.source_name) == (True, 'Apache-2.0', str(tmp_path))


def test_the_official_code_reads_what_we_write(
    pair_of: Callable, scene_of: Callable, violations: Callable, tmp_path: Path
) -> None:
    pair, images = pair_of('embedded'), scene_of(2).images
    expected = pair.run_official(images)
    save_model(pair.ours, tmp_path / 'model.safetensors')
    state = load_file(tmp_path / 'model.safetensors')
    for level in (1, 2, 3):
        for part in ('weight', 'bias'):
            state[TIED.format(level, part)] = state[TIED.format(0, part)]
    before = pair.official.state_dict()
    before = {key: tensor.clone() for key, tensor in before.items()}
    pair.official.load_state_dict({k.removeprefix('model.'): t for k, t in state.items()})
    try:
        assert violations(pair.run_official(images), expected) == {}
    finally:
        pair.official.load_state_dict(before)


def test_round_trip(tiny_config: ModelConfig, tiny_file: Path) -> None:
    torch.manual_seed(0)
    expected = AnyViewNetwork(tiny_config).state_dict()
    net = load_model(tiny_file)
    assert net.config == tiny_config
    assert net.state_dict().keys() == expected.keys()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in net.state_dict().items())
    assert not net.training and not any(p.requires_grad for p in net.parameters())


def test_tied_norm_comes_from_level_zero(tiny_file: Path) -> None:
    def mark(tensors: dict) -> None:
        tensors[TIED.format(0, 'weight')] = torch.full((32,), 7.0)

    net = load_model(rewritten(tiny_file, mark))
    assert net.head.ray_output.norm.weight.tolist() == [7.0] * 32


def test_weights_do_not_hang_on_the_file(tiny_file: Path) -> None:
    net = load_model(tiny_file)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    tiny_file.write_bytes(bytes(tiny_file.stat().st_size))
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


@pytest.mark.parametrize(
    ('dtype', 'head'), [(torch.bfloat16, torch.float32), (torch.float16, torch.float16)]
)
def test_half_precision_is_cast_once(
    tiny_file: Path, dtype: torch.dtype, head: torch.dtype
) -> None:
    net = load_model(tiny_file, dtype=dtype)
    assert net.dtype == dtype
    dtypes = {name: parameter.dtype for name, parameter in net.named_parameters()}
    assert dtypes['backbone.blocks.0.attn.qkv.weight'] == dtype
    assert dtypes['backbone.blocks.9.mlp.fc2.bias'] == dtype
    assert dtypes['head.laterals.0.weight'] == head
    assert dtypes['head.ray_decoder.neck.0.weight'] == head
    for name in (
        'backbone.blocks.0.norm1.weight',
        'backbone.pos_embed',
        'camera_decoder.hidden.0.weight',
        'camera_encoder.trunk.0.attn.qkv.weight',
        'head.depth_output.last.weight',
        'head.ray_output.last.weight',
    ):
        assert dtypes[name] == torch.float32, name


def test_heads_of_a_bfloat16_trunk_are_rounded_once(tiny_file: Path) -> None:
    exact, cuda = load_model(tiny_file), torch.device('cuda')
    net = load_model(tiny_file).store_for_inference(torch.bfloat16, cuda)
    weight = net.head.laterals[0].weight
    assert torch.equal(weight, exact.head.laterals[0].weight.half())


def test_half_precision_file(tiny_file: Path, tmp_path: Path) -> None:
    half = tmp_path / 'half.safetensors'
    save_model(load_model(tiny_file), half, dtype=torch.float16)
    assert {tensor.dtype for tensor in load_file(half).values()} == {torch.float16}
    net = load_model(half)
    assert {parameter.dtype for parameter in net.parameters()} == {torch.float32}


def test_embedded_fits_its_file(tmp_path: Path) -> None:
    save_model(AnyViewNetwork(PRESETS['embedded']), tmp_path / 'e.safetensors', torch.float16)
    assert (tmp_path / 'e.safetensors').stat().st_size < 29e6


# -- the embedded model -----------------------------------------------------------------------


def test_embedded_without_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, 'EMBEDDED_FILE', tmp_path / 'absent.safetensors')
    state = torch.random.get_rng_state()
    with pytest.warns(UntrainedModelWarning, match='not trained'):
        first, second = load_model('embedded'), load_model('embedded')
    assert torch.equal(state, torch.random.get_rng_state()), 'the global generator was touched'
    assert (first.is_trained, first.source_name) == (False, 'embedded')
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters()))


def test_embedded_with_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    path = tmp_path / 'embedded.safetensors'
    save_model(AnyViewNetwork(PRESETS['embedded']), path, torch.float16)
    monkeypatch.setattr(sources, 'EMBEDDED_FILE', path)
    net = load_model('embedded')
    assert (net.is_trained, net.licence) == (True, 'Apache-2.0')
    assert not any(isinstance(w.message, UntrainedModelWarning) for w in recwarn)


def one_sentence(caught: pytest.ExceptionInfo) -> None:
    text = str(caught.value)
    assert '\n' not in text and text.endswith('.') and len(text) < 600, text


# -- what is wrong with a file ----------------------------------------------------------------


def test_unknown_tensors_are_reported(tiny_file: Path, caplog: pytest.LogCaptureFixture) -> None:
    rewritten(tiny_file, lambda tensors: tensors.update({'model.head.extra': torch.zeros(1)}))
    with caplog.at_level(logging.WARNING):
        load_model(tiny_file)
    assert '1 unknown tensors are ignored: model.head.extra' in caplog.text


def test_missing_tensors(tiny_config: ModelConfig, tiny_file: Path) -> None:
    """Also one that no output depends on: a file without it is not what it says."""
    for key in (
        'model.cam_dec.fc_t.bias',
        TIED.format(0, 'weight'),
        'model.head.scratch.output_conv1_aux.1.2.weight',
    ):
        rewritten(tiny_file, lambda tensors: tensors.pop(key))
        with pytest.raises(WeightsError, match=f'tensors are missing.*{key}') as caught:
            load_model(tiny_file)
        one_sentence(caught)
        save_model(AnyViewNetwork(tiny_config), tiny_file)


def test_wrong_shape(tiny_file: Path) -> None:
    rewritten(
        tiny_file, lambda tensors: tensors.update({'model.cam_dec.fc_t.bias': torch.ones(4)})
    )
    with pytest.raises(WeightsError, match=r'fc_t.bias: expected \(3,\), got \(4,\)') as caught:
        load_model(tiny_file)
    one_sentence(caught)


@pytest.mark.parametrize('size', [0, 4, 1000, -1000])
def test_truncated_file(tiny_file: Path, size: int) -> None:
    tiny_file.write_bytes(tiny_file.read_bytes()[:size])
    with pytest.raises(WeightsError, match='damaged') as caught:
        load_model(tiny_file)
    one_sentence(caught)


def test_another_model(tmp_path: Path) -> None:
    path = tmp_path / 'bert.safetensors'
    save_file({'bert.embeddings.weight': torch.zeros(3)}, path)
    with pytest.raises(WeightsError, match="another model.*'bert.embeddings.weight'") as caught:
        load_model(path)
    one_sentence(caught)


def test_a_size_that_no_preset_has(tiny_file: Path) -> None:
    save_file(load_file(tiny_file), tiny_file)
    with pytest.raises(WeightsError, match='expected one of da3-small'):
        load_model(tiny_file)


def test_only_networks_of_many_views(tmp_path: Path) -> None:
    path = tmp_path / 'm.safetensors'
    save_model(build_network(TINY_NESTED), path)
    net = load_any_view(path)
    assert net.config == TINY_NESTED.any_view
    assert (net.source_name, net.is_trained) == (str(path), True)
    save_model(build_network(TINY_METRIC), path)
    with pytest.raises(WeightsError, match='tiny-metric, which sees each view alone') as caught:
        load_any_view(path)
    one_sentence(caught)


def test_gaussian_head_stays_precise(tmp_path: Path) -> None:
    save_model(build_network(TINY_NESTED), tmp_path / 'm.safetensors')
    net = load_model(tmp_path / 'm.safetensors', dtype=torch.float16)
    dtypes = {name: parameter.dtype for name, parameter in net.named_parameters()}
    assert dtypes['any_view.gaussian_head.projects.0.weight'] == torch.float32
    assert dtypes['any_view.head.projects.0.weight'] == torch.float16
    assert dtypes['metric.head.projects.0.weight'] == torch.float16
    assert dtypes['metric.head.sky_output.last.weight'] == torch.float32
    images = torch.zeros(1, 1, 3, 28, 28, dtype=torch.float16)
    assert net(images, gaussian_views=[0]).gaussians.means.dtype == torch.float32


def test_a_nested_file_is_told_by_its_branches(tmp_path: Path) -> None:
    trunk = 'backbone.pretrained.cls_token'
    tensors = {f'model.{branch}.{trunk}': torch.zeros(1, 1, 8) for branch in ('da3', 'da3_metric')}
    save_file(tensors, tmp_path / 'm.safetensors')
    with pytest.raises(WeightsError, match='does not hold da3nested-giant-large'):
        load_model(tmp_path / 'm.safetensors')


def test_mono_and_metric_files_are_alike(tmp_path: Path) -> None:
    path = tmp_path / 'model.safetensors'
    save_file({'model.head.scratch.sky_output_conv2.0.weight': torch.zeros(1)}, path)
    with pytest.raises(WeightsError, match='put a config.json with their model_name') as caught:
        load_model(path)
    one_sentence(caught)
    (tmp_path / 'config.json').write_text('{"model_name": "da3metric-large"}')
    assert network_config(path).name == 'da3metric-large'


def test_constants_that_make_no_sense(tiny_config: ModelConfig, tiny_file: Path) -> None:
    constants = json.dumps(tiny_config.__dict__ | {'heads': 3})
    save_file(load_file(tiny_file), tiny_file, {'da3_config': constants})
    with pytest.raises(WeightsError, match='embed_dim must be 64 x heads'):
        load_model(tiny_file)


def test_device_and_dtype(tiny_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match='torch.float64'):
        load_model(tiny_file, dtype=torch.float64)
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    with pytest.raises(InputError, match='no CUDA device'):
        load_model(tiny_file, device='cuda:0')


def test_official_key_is_one_to_one(tiny_config: ModelConfig) -> None:
    names = [name for name, _ in AnyViewNetwork(tiny_config).named_parameters()]
    assert len({official_key(name) for name in names}) == len(names)
