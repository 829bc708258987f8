"""Clouds drawn on the CPU, and films of them."""

from pathlib import Path

from da3_ros.tools.cloud_picture import draw_cloud, draw_line, Eye, looking_at
from da3_ros.tools.moving_picture import write_gif
import numpy as np
import pytest

UP = np.array([0.0, 0.0, 1.0])


@pytest.fixture
def eye() -> Eye:
    """Return somebody at the origin of a map with z up who looks along x."""
    return Eye(looking_at(np.zeros(3), np.array([1.0, 0, 0]), UP, 0.0), 50.0, 80, 60)


def test_what_is_ahead_is_in_the_middle_and_left_is_left(eye: Eye) -> None:
    points = np.array([[2.0, 0, 0], [2.0, 1, 0], [2.0, 0, 1]])
    pixels, depth = eye.project(points)
    np.testing.assert_allclose(pixels, [[40, 30], [15, 30], [40, 5]])
    np.testing.assert_allclose(depth, 2.0)


def test_looking_at_a_target_from_afar() -> None:
    target = np.array([1.0, 2.0, 3.0])
    eye_from_map = looking_at(target, np.array([1.0, 1.0, -1.0]), UP, 5.0)
    np.testing.assert_allclose(eye_from_map[:3, :3] @ target + eye_from_map[:3, 3], [0, 0, 5])
    np.testing.assert_allclose(
        eye_from_map[:3, :3] @ eye_from_map[:3, :3].T, np.eye(3), atol=1e-12
    )
    assert (eye_from_map[:3, :3] @ UP)[1] < 0, 'up is up'


def test_the_nearer_point_hides_the_farther_one_in_any_order(eye: Eye) -> None:
    points = np.array([[2.0, 0, 0], [4.0, 0, 0]])
    rgb = np.array([[250, 0, 0], [0, 250, 0]], np.uint8)
    for order in ([0, 1], [1, 0]):
        picture = draw_cloud(eye, points[order], rgb[order], np.full(2, 0.05))
        assert picture[30, 40, 0] > 150 and picture[30, 40, 1] == 0


def test_a_point_is_a_disc_of_its_size(eye: Eye) -> None:
    point, red = np.array([[2.0, 0, 0]]), np.array([[250, 0, 0]], np.uint8)
    areas = [
        int((draw_cloud(eye, point, red, np.array([size]))[..., 0] > 100).sum())
        for size in (0.01, 0.1, 0.2)
    ]
    assert areas[0] == 1 and areas[0] < areas[1] < areas[2] < 40


def test_what_is_behind_or_beside_is_not_drawn(eye: Eye) -> None:
    points = np.array([[-2.0, 0, 0], [0.0, 0, 0], [2.0, 50, 0], [2.0, 0, -50]])
    white = np.full((4, 3), 255, np.uint8)
    assert draw_cloud(eye, points, white, np.full(4, 0.1)).max() < 60
    assert draw_cloud(eye, points[:0], white[:0], np.empty(0)).shape == (60, 80, 3)


def test_edges_are_shaded(eye: Eye) -> None:
    """A near square before a far wall: the wall is darker around it than elsewhere."""
    y, z = (grid.ravel() for grid in np.meshgrid(np.linspace(-4, 4, 161), np.linspace(-4, 4, 161)))
    wall = np.stack([np.full(y.size, 4.0), y, z], axis=1)
    square = wall[(np.abs(y) < 1) & (np.abs(z) < 1)] * 0.5
    points = np.concatenate([wall, square])
    picture = draw_cloud(
        eye, points, np.full((len(points), 3), 200, np.uint8), np.full(len(points), 0.1)
    )
    assert picture[30, 40].tolist() == [200] * 3
    assert picture[30, 5].tolist() == [200] * 3
    assert picture[30, 24:29].min() < 150


def test_lines_end_where_their_points_are(eye: Eye) -> None:
    picture = np.zeros((60, 80, 3), np.uint8)
    points = np.array([[2.0, 0.4, 0], [2.0, -0.4, 0], [-1.0, 0, 0]])
    draw_line(picture, eye, points, (255, 255, 255))
    lit = np.argwhere(picture[..., 0] > 120)
    assert (lit[:, 0] == 30).all() or set(lit[:, 0]) <= {29, 30}
    assert (lit[:, 1].min(), lit[:, 1].max()) == (30, 50), 'and none to a point behind'


def test_a_film_has_its_frames_and_times(tmp_path: Path) -> None:
    image = pytest.importorskip('PIL.Image')
    rng = np.random.default_rng(0)
    frames = [np.zeros((20, 30, 3), np.uint8) for _ in range(5)]
    for i, frame in enumerate(frames):
        frame[:, 5 * i : 5 * i + 5] = rng.integers(100, 255, 3)
    write_gif(tmp_path / 'film.gif', frames, [40, 40, 40, 40, 1000])
    with image.open(tmp_path / 'film.gif') as film:
        assert film.n_frames == 5 and film.info['loop'] == 0
        film.seek(4)
        assert film.info['duration'] == 1000
        assert np.abs(np.array(film.convert('RGB')).astype(int) - frames[4]).max() < 12
