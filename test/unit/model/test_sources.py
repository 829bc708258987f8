"""Where a model may come from, and what is said when there is none."""

from collections.abc import Callable
import json
from pathlib import Path
import sys

from da3_ros.engine.licence import licence_line
from da3_ros.errors import WeightsError
from da3_ros.model import load_model, ModelConfig, PRESETS, sources
from da3_ros.model.releases import RELEASES
from da3_ros.model.sources import resolve
from da3_ros.model.weights import save_model
import pytest
from safetensors.torch import load_file, save_file
import torch


def one_sentence(caught: pytest.ExceptionInfo) -> None:
    text = str(caught.value)
    assert '\n' not in text and text.endswith('.') and len(text) < 600, text


# -- what is wrong with a source --------------------------------------------------------------


@pytest.mark.parametrize(
    ('source', 'message'),
    [
        ('nothing', "No model 'nothing'.*embedded.*Hugging Face id"),
        ('./no/where', "No model './no/where'"),
        ('/no/such.safetensors', "There is no weights file '/no/such.safetensors'"),
        ('/no/such.pth', 'pickle'),
        ('weights.bin', 'pickle'),
        ('~no_such_user/model', "No model '~no_such_user/model': it cannot be a path"),
        ('x' * 5000, "No model 'xxx.*File name too long"),
    ],
)
def test_sources_that_lead_nowhere(source: str, message: str) -> None:
    with pytest.raises(WeightsError, match=message) as caught:
        load_model(source)
    one_sentence(caught)


@pytest.mark.parametrize(
    'name', ['a/..', '../a', '-a/b', 'a/b-', 'a/b\n', 'a--b/c', 'a..b/c', 'ä/b', 'a/b/c', 'a:b/c']
)
def test_the_hub_is_not_asked_for_what_it_cannot_have(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a path nor an address passes for a model's id."""
    monkeypatch.setattr(sources, '_download', lambda name: pytest.fail(f'asked for {name}'))
    with pytest.raises(WeightsError, match='No model'):
        resolve(name)


def test_pickles_are_not_opened(tmp_path: Path) -> None:
    path = tmp_path / 'model.pt'
    torch.save({}, path)
    with pytest.raises(WeightsError, match='convert it to .safetensors'):
        load_model(path)
    path = path.rename(tmp_path / 'model.weights')
    with pytest.raises(WeightsError, match='no .safetensors file'):
        load_model(path)


@pytest.mark.parametrize(
    ('config', 'message'),
    [
        (None, 'has no config.json'),
        ('{"model_name": "da3', 'could not be read as JSON'),
        ('[1]', 'holds a list'),
        ('{"model_name": "resnet"}', "unknown model_name 'resnet', expected one of da3-small"),
        ('{"model_name": "da3mono-large"}', 'does not hold da3mono-large'),
        ('{"model_name": "da3-base"}', 'does not hold da3-base'),
    ],
)
def test_directories(tmp_path: Path, tiny_file: Path, config: str | None, message: str) -> None:
    save_file(load_file(tiny_file), tiny_file)  # without the constants
    tiny_file.rename(tmp_path / 'model.safetensors')
    if config is not None:
        (tmp_path / 'config.json').write_text(config)
    with pytest.raises(WeightsError, match=message) as caught:
        load_model(tmp_path)
    one_sentence(caught)


def test_directory_without_weights(tmp_path: Path) -> None:
    (tmp_path / 'config.json').write_text('{"model_name": "da3-small"}')
    with pytest.raises(WeightsError, match='has no model.safetensors'):
        load_model(tmp_path)


def test_config_beside_a_file_names_no_network(
    tmp_path: Path, tiny_file: Path, tiny_config: ModelConfig
) -> None:
    """A config.json of something else (no model_name) leaves the choice to the file."""
    (tmp_path / 'config.json').write_text('{"architectures": []}')
    assert load_model(tiny_file).config == tiny_config


# -- the hub ----------------------------------------------------------------------------------


def test_hub(pair_of: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    asked = {}

    def download(name: str, allow_patterns: list[str]) -> str:
        asked.update(name=name, patterns=allow_patterns)
        return str(tmp_path)

    save_model(pair_of('small').ours, tmp_path / 'model.safetensors')
    (tmp_path / 'config.json').write_text('{"model_name": "da3-small", "config": {}}')
    monkeypatch.setattr(huggingface_hub, 'snapshot_download', download)
    net = load_model('depth-anything/DA3-SMALL')
    assert asked == {
        'name': 'depth-anything/DA3-SMALL',
        'patterns': ['config.json', 'model.safetensors'],
    }
    assert (net.source_name, net.licence) == ('depth-anything/DA3-SMALL', 'Apache-2.0')
    assert load_model('someone/finetuned').config == PRESETS['small']


def test_hub_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    def download(name: str, allow_patterns: list[str]) -> str:
        raise LocalEntryNotFoundError('no connection\nand much more')

    monkeypatch.setattr(huggingface_hub, 'snapshot_download', download)
    with pytest.raises(WeightsError, match='hf download depth-anything/DA3-SMALL') as caught:
        load_model('depth-anything/DA3-SMALL')
    assert 'pass its path' in str(caught.value)
    one_sentence(caught)


def test_hub_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'huggingface_hub', None)
    with pytest.raises(WeightsError, match='needs huggingface_hub') as caught:
        load_model('depth-anything/DA3-BASE')
    one_sentence(caught)


@pytest.mark.parametrize('name', RELEASES)
def test_every_official_id(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its id whatever its config.json says, and as a directory by what that says."""
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, 'snapshot_download', lambda *a, **k: str(tmp_path))
    (tmp_path / 'model.safetensors').touch()
    (tmp_path / 'config.json').write_text('{"model_name": "renamed"}')
    found = resolve(name)
    expected = name.removeprefix('depth-anything/').lower().removesuffix('-1.1')
    assert (found.config.name, found.licence) == (expected, RELEASES[name].licence)

    for suffix in ('', '-1.1'):
        (tmp_path / 'config.json').write_text(json.dumps({'model_name': expected + suffix}))
        found = resolve(tmp_path)
        assert (found.config.name, found.licence) == (expected, RELEASES[name].licence)


def test_licences() -> None:
    free = {'SMALL', 'BASE', '3MONO-LARGE', '3METRIC-LARGE'}
    assert len(RELEASES) == 10
    for name, release in RELEASES.items():
        is_free = any(name.endswith(ending) for ending in free)
        assert release.licence == ('Apache-2.0' if is_free else 'CC-BY-NC-4.0'), name
        line = licence_line(name, release.licence)
        assert name in line and release.licence in line
        assert ('not for commercial use' in line) != is_free
    assert 'not known' in licence_line('/some/file.safetensors', None)
