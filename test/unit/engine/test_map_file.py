"""Maps on disk stay where they belong."""

from pathlib import Path

from da3_ros.engine.map_file import save_map
from da3_ros.errors import InputError
import pytest


@pytest.mark.parametrize('name', ['../map', '/tmp/map', 'a/b', '..', '.', '', 'a\0b'])
def test_a_map_is_not_saved_outside_of_its_directory(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match='expected the name of a folder alone'):
        save_map(tmp_path / 'maps', name, [])
    assert not list(tmp_path.iterdir())


def test_an_existing_folder_is_not_touched(tmp_path: Path) -> None:
    """Nor what a link of that name leads to."""
    elsewhere = tmp_path / 'elsewhere'
    elsewhere.mkdir()
    (tmp_path / 'map').symlink_to(elsewhere)
    assert save_map(tmp_path, 'map', []) == tmp_path / 'map-1'
    assert not list(elsewhere.iterdir())
