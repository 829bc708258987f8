"""Photographs as textures: found, cropped, numbered behind the painted ones, refused in words."""

from pathlib import Path
import pickle

import cv2
from da3_ros.errors import InputError
from da3_ros.tools.main import main
from da3_ros.training.config import TrainConfig
from da3_ros.training.loop import textures_of
from da3_ros.training.pool import PoolConfig, ScenePool
from da3_ros.training.scenes.catalogue import PaintedTextures
from da3_ros.training.scenes.make import make_scenes, SceneConfig
from da3_ros.training.scenes.photographs import EVERYWHERE, FolderTextures, MixedTextures
import numpy as np
import pytest
import torch


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures: a wide one for walls, a small one for doors, a grey one for all."""
    wide = np.zeros((40, 100, 3), np.uint8)
    wide[:, 30:70] = (0, 0, 255)  # red in OpenCV's order; the middle square alone
    (tmp_path / 'wall').mkdir()
    (tmp_path / 'door' / 'old').mkdir(parents=True)
    cv2.imwrite(str(tmp_path / 'wall' / 'wide.png'), wide)
    cv2.imwrite(str(tmp_path / 'door' / 'old' / 'small.JPG'), np.full((9, 7, 3), 200, np.uint8))
    cv2.imwrite(str(tmp_path / 'grey.jpeg'), np.full((64, 64, 3), 128, np.uint8))
    (tmp_path / 'licences.txt').write_text('not a picture')
    return tmp_path


def test_roles_come_from_sub_folders(folder: Path) -> None:
    textures = FolderTextures.open(folder)
    names = [path.name for path in textures.files]
    assert sorted(names) == ['grey.jpeg', 'small.JPG', 'wide.png']
    grey, small, wide = (names.index(n) for n in ('grey.jpeg', 'small.JPG', 'wide.png'))
    assert set(textures.with_role('wall')) == {grey, wide}
    assert list(textures.with_role('door')) == [small]
    assert all(grey in textures.with_role(role) for role in EVERYWHERE)
    assert not textures.with_role('leaves')


def test_pictures_are_cropped_resized_and_linear(folder: Path) -> None:
    textures = FolderTextures.open(folder)
    by_name = {path.name: number for number, path in enumerate(textures.files)}
    chosen = [by_name['wide.png'], by_name['grey.jpeg'], by_name['small.JPG']]
    wide, grey, small = textures.images(chosen, 16)
    torch.testing.assert_close(wide, torch.eye(3)[0][:, None, None].expand(3, 16, 16))
    torch.testing.assert_close(grey, torch.full((3, 16, 16), (128 / 255) ** 2.2))
    assert small.shape == (3, 16, 16)


def test_a_mixture_numbers_painted_ones_first(folder: Path) -> None:
    painted = PaintedTextures(1)
    mixed = MixedTextures(painted, FolderTextures.open(folder), 0.4)
    assert len(mixed) == len(painted) + 3
    assert list(mixed.with_role('wear')) == list(painted.with_role('wear'))
    walls = mixed.with_role('wall')
    share = sum(number >= len(painted) for number in walls) / len(walls)
    assert share == pytest.approx(0.4, abs=0.1)
    both = mixed.images([0, len(painted)], 8)
    torch.testing.assert_close(both[:1], painted.images([0], 8))
    torch.testing.assert_close(both[1:], mixed.photographs.images([0], 8))


def test_scenes_show_photographs_and_travel(folder: Path) -> None:
    config = TrainConfig(texture_variants=1, textures=str(folder), photograph_share=0.8)
    textures = pickle.loads(pickle.dumps(textures_of(config)))
    scenes = make_scenes(range(6), SceneConfig(textures=textures))
    assert (scenes.texture >= len(PaintedTextures(1))).any()
    assert isinstance(textures_of(TrainConfig(texture_variants=1)), PaintedTextures)


def test_a_pool_paints_photographs_in_other_processes(folder: Path) -> None:
    painted = PaintedTextures(1)
    textures = MixedTextures(painted, FolderTextures.open(folder))
    shape = PoolConfig(64, 0, 0, workers=1, texture_side=8)
    with ScenePool(shape, SceneConfig(textures=textures), torch.device('cpu')) as pool:
        last = pool.atlas.texels.view(len(textures), -1, 4)[len(painted) :, -1, :3]
    torch.testing.assert_close(last, textures.photographs.images([0, 1, 2], 8).mean((2, 3)))


def test_what_cannot_be_used_is_refused_in_a_sentence(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    empty = tmp_path_factory.mktemp('empty')
    with pytest.raises(InputError, match='holds no PNG or JPEG file'):
        FolderTextures.open(empty)
    with pytest.raises(InputError, match='There is no texture folder'):
        FolderTextures.open(empty / 'missing')
    (folder / 'wall' / 'torn.png').write_bytes((folder / 'wall' / 'wide.png').read_bytes()[:20])
    with pytest.raises(InputError, match='torn.png is no whole PNG or JPEG'):
        FolderTextures.open(folder)
    (folder / 'wall' / 'torn.png').unlink()
    (folder / 'sky').mkdir()
    (folder / 'wall' / 'wide.png').rename(folder / 'sky' / 'wide.png')
    with pytest.raises(InputError, match="sub-folder 'sky', which is no role"):
        FolderTextures.open(folder)
    with pytest.raises(InputError, match='between 0 and 1'):
        MixedTextures(PaintedTextures(1), FolderTextures((), ()), 1.0)


def test_the_command_takes_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = tmp_path / 'none'
    arguments = ['train', '--textures', str(missing), '--set', 'model=tiny', '--device', 'cpu']
    assert main(arguments) != 0
    assert f'no texture folder {missing}' in capsys.readouterr().err
