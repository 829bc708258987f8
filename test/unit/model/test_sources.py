"""Where a model may come from, and what is said when there is none."""

from collections.abc import Callable
from pathlib import Path
import sys

from da3_ros.errors import WeightsError
from da3_ros.model import load_model, ModelConfig, PRESETS
from da3_ros.model.presets import RELEASES
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
        ('depth-anything/DA3METRIC-LARGE', 'not supported yet'),
        ('depth-anything/DA3NESTED-GIANT-LARGE-1.1', 'not supported yet'),
    ],
)
def test_sources_that_lead_nowhere(source: str, message: str) -> None:
    with pytest.raises(WeightsError, match=message) as caught:
        load_model(source)
    one_sentence(caught)


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
        ('{"model_name": "da3mono-large"}', 'not supported yet'),
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


def test_every_release_has_a_licence() -> None:
    assert {release.licence for release in RELEASES.values()} == {'Apache-2.0', 'CC-BY-NC-4.0'}
    for name, release in RELEASES.items():
        assert release.config is None or release.config.name in name.lower()
