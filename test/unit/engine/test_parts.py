"""Small parts of the engine: device names, covisibility, the window, steady intrinsics."""

from pathlib import Path

from da3_ros.config import KeyframeConfig
from da3_ros.engine import device
from da3_ros.engine.device import resolve_device, resolve_precision
from da3_ros.engine.frame import Frame
from da3_ros.engine.intake import Intake
from da3_ros.engine.intrinsics import IntrinsicsEstimate
from da3_ros.engine.keyframes import (
    covisibilities,
    Covisibility,
    Keyframe,
    KeyframeRule,
    overlap_points,
)
from da3_ros.engine.runner import WindowView
from da3_ros.engine.window import Window
from da3_ros.errors import ConfigError
from da3_ros.geometry.transforms import Sim3
from doubles.box_room import box_depth, pose_at
import numpy as np
import pytest
import torch

K = np.array([[80.0, 0.0, 56.0], [0.0, 80.0, 42.0], [0.0, 0.0, 1.0]])


def keyframe(pose: np.ndarray, key: int = 0) -> Keyframe:
    depth = torch.from_numpy(box_depth(pose, K, 84, 112)).float()
    view = WindowView(key, '', key, torch.zeros(3, 84, 112))
    rgb = np.zeros((84, 112, 3), np.uint8)
    return Keyframe(view, rgb, K, depth, torch.ones_like(depth), pose)


def seen_from(pose: np.ndarray, by: np.ndarray) -> Covisibility:
    points = overlap_points(keyframe(pose).depth, K, pose)
    return covisibilities(points, pose, [keyframe(by)])[0]


def test_a_view_sees_itself_without_parallax() -> None:
    same = seen_from(pose_at([0, 0, 0]), pose_at([0, 0, 0]))
    assert same.overlap > 0.98
    assert same.parallax_deg < 0.1


def test_turning_loses_overlap_and_gives_no_parallax() -> None:
    overlaps = []
    for yaw in (10, 30, 60, 120):
        c = seen_from(pose_at([0, 0, 0], yaw), pose_at([0, 0, 0]))
        overlaps.append(c.overlap)
        assert c.overlap == 0 or c.parallax_deg < 0.1
    assert overlaps == sorted(overlaps, reverse=True)
    assert overlaps[0] > 0.8
    assert overlaps[-1] == 0


def test_moving_sideways_gives_the_parallax_of_the_triangle() -> None:
    c = seen_from(pose_at([0, 0.5, 0]), pose_at([0, 0, 0]))
    assert c.parallax_deg == pytest.approx(np.degrees(np.arctan(0.5 / 5.0)), rel=0.3)


def test_hidden_points_are_not_seen() -> None:
    behind = keyframe(pose_at([0, 0, 0]))
    behind.depth = behind.depth / 3  # something stands in front of the walls
    points = overlap_points(keyframe(pose_at([0, 0, 0])).depth, K, pose_at([0, 0, 0]))
    assert covisibilities(points, pose_at([0, 0, 0]), [behind]) == [Covisibility(0.0, 180.0)]


def test_all_keyframes_at_once_are_each_by_itself() -> None:
    poses = [pose_at([0, 0, 0]), pose_at([0, 0.5, 0], 20), pose_at([0, 0, 0], 180)]
    view = pose_at([0.2, 0, 0], 5)
    points = overlap_points(keyframe(view).depth, K, view)
    keyframes = [keyframe(pose) for pose in poses]
    together = covisibilities(points, view, keyframes)
    assert together == [covisibilities(points, view, [k])[0] for k in keyframes]
    assert together[2] == Covisibility(0.0, 180.0)


def test_archived_keyframes_see_and_are_seen_as_before() -> None:
    pose, other = pose_at([0, 0, 0]), pose_at([0, 0.5, 0], 20)
    archived = keyframe(pose)
    archived.archive()
    points = overlap_points(archived.depth, K, pose)
    both = covisibilities(points, pose, [keyframe(other), archived])
    assert both[0].overlap == pytest.approx(seen_from(pose, other).overlap, abs=0.01)
    assert both[1].overlap == pytest.approx(seen_from(pose, pose).overlap, abs=0.01)


def test_points_that_are_missing_count_neither_as_seen_nor_as_unseen() -> None:
    pose = pose_at([0, 0, 0])
    whole = keyframe(pose)
    half = whole.depth.clone()
    half[:42] = torch.nan
    by = [keyframe(pose_at([0, 0, 0], 20))]
    seen = covisibilities(overlap_points(half, K, pose), pose, by)[0]
    assert seen.overlap == pytest.approx(seen_from(pose, pose_at([0, 0, 0], 20)).overlap, abs=0.05)
    nothing = overlap_points(torch.full_like(half, torch.nan), K, pose)
    assert covisibilities(nothing, pose, by) == [Covisibility(0.0, 180.0)]


def test_rule_keeps_what_is_new() -> None:
    config = KeyframeConfig(max_overlap=0.7, min_parallax_deg=5.0, min_reference_overlap=0.15)
    rule = KeyframeRule(config)
    assert rule.is_new([])
    assert rule.is_new([Covisibility(0.5, 1.0)])
    assert rule.is_new([Covisibility(0.9, 9.0)])
    assert not rule.is_new([Covisibility(0.1, 1.0), Covisibility(0.9, 1.0)])


def test_reference_stays_until_another_sees_clearly_more() -> None:
    rule = KeyframeRule(KeyframeConfig(min_reference_overlap=0.5))
    assert rule.next_reference([0.6, 0.9]) == 0
    assert rule.next_reference([0.4, 0.45, 0.3]) == 0
    assert rule.next_reference([0.4, 0.6, 0.8]) == 2
    assert rule.next_reference([0.1]) == 0


def test_window_pins_the_reference_and_drops_the_oldest_of_equal_others() -> None:
    window = Window(4, 2)
    frames = [keyframe(pose_at([0, 0, 0]), i) for i in (0, 1, 2, 4, 5)]
    left = [k.view.key for f in frames for k in window.add(f, [0.5] * len(window))]
    assert left == [1, 2]
    assert [k.view.key for k in window] == [0, 4, 5]
    assert [k.view.key for k in window.select(1)] == [0, 4, 5]
    assert [k.view.key for k in window.select(2)] == [0, 5]
    assert [k.view.key for k in window.select(9)] == [0]


def test_window_keeps_who_sees_the_same_place_and_the_reference_of_before() -> None:
    window = Window(5, 2)
    for i in range(4):
        window.add(keyframe(pose_at([0, 0, 0]), i), [0.5] * i)
    left = window.add(keyframe(pose_at([0, 0, 0]), 4), [0.3, 0.9, 0.1, 0.7], reference=1)
    assert [k.view.key for k in left] == [2]
    assert [k.view.key for k in window] == [1, 0, 3, 4]
    left = window.add(keyframe(pose_at([0, 0, 0]), 5), [0.0, 0.9, 0.9, 0.9])
    assert window.reference.view.key == 1 and [k.view.key for k in left] == [0]


def test_depth_is_for_the_reference_the_new_and_the_others_in_turn() -> None:
    window = Window(8, 2)
    turns = [window.dense_slots(4, 2) for _ in range(4)]
    assert turns == [[0, 1, 4, 5], [0, 2, 4, 5], [0, 3, 4, 5], [0, 1, 4, 5]]
    assert Window(8, 1).dense_slots(4, 1) == [0, 4]
    assert Window(8, 99).dense_slots(4, 1) == [0, 1, 2, 3, 4]
    assert window.dense_slots(0, 2) == [0, 1]
    assert window.dense_slots(1, 1) == [0, 1]


@pytest.mark.parametrize('newest', [1, 2])
@pytest.mark.parametrize('refreshed', [1, 2, 3, 9])
@pytest.mark.parametrize('size', [2, 3, 5, 8])
def test_every_window_that_comes_is_prepared(size: int, refreshed: int, newest: int) -> None:
    """Also those with a guest: to capture and compile in the middle of a stream takes long."""
    window = Window(size, refreshed)
    prepared = {(c.views, c.dense) for c in window.shapes(newest)}
    guests = (0, 1) if window.has_room(newest) else (0,)
    for i in range(size + 3):
        for count in guests[: 1 + (i > 0)]:
            known = len(window.select(newest, count))
            dense = window.dense_slots(known, newest, count)
            assert len(set(dense)) == len(dense)
            assert (known + count + newest, len(dense)) in prepared
        window.add(keyframe(pose_at([0, 0, 0]), i), [0.5] * len(window))


def test_archived_keyframes_still_hold_their_depth() -> None:
    k = keyframe(pose_at([0, 0, 0]))
    before = k.depth.clone()
    k.archive()
    assert k.view.image.numel() == 0
    torch.testing.assert_close(k.depth.float(), before, rtol=1e-3, atol=0)


@pytest.mark.parametrize('size', [(112, 84), (640, 480), (90, 61)])
def test_a_recalled_keyframe_shows_the_network_the_very_picture(size: tuple[int, int]) -> None:
    """Whatever size the camera's was: a runner may still know what it made of it."""
    rgb = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    new = Intake(torch.device('cpu'), 112, 1.0).prepare([Frame('', 0, rgb, K)])[0]
    shape = new.view.image.shape[1:]
    depth = torch.linspace(0.1, 50.0, shape.numel()).view(shape)
    k = Keyframe(new.view, new.prepared.rgb, K, depth, 1 + depth, pose_at([0, 0, 0]))
    for _ in range(3):
        k.archive()
        assert k.is_archived and k.depth.dtype == k.weight.dtype == torch.half
        k.archive()
        k.recall()
        assert not k.is_archived
        torch.testing.assert_close(k.view.image, new.view.image, rtol=0, atol=0)
        torch.testing.assert_close(k.depth, depth, rtol=1e-3, atol=0)
        torch.testing.assert_close(k.weight, 1 + depth, rtol=1e-3, atol=0)
    assert k.view.key == new.view.key
    recalled = k.depth
    k.recall()
    assert k.depth is recalled


def test_archived_keyframes_take_corrections_and_stay_small() -> None:
    k = keyframe(pose_at([0, 0, 0]))
    before = k.depth.clone()
    k.archive()
    k.move(Sim3(1.5, np.eye(3), np.zeros(3)))
    assert k.is_archived and k.depth.dtype == torch.half and k.size == 1.5
    k.recall()
    torch.testing.assert_close(k.depth, 1.5 * before, rtol=2e-3, atol=0)


def test_intrinsics_settle_on_the_geometric_mean() -> None:
    estimate = IntrinsicsEstimate()
    for factor in [0.8, 1.25] * 50:
        k = estimate.update(K * [[factor], [factor], [1]])
    assert k[0, 0] == pytest.approx(80.0, rel=0.02)
    assert (k[0, 2], k[1, 2]) == (56.0 * 1.25, 42.0 * 1.25)


def test_missing_gpu_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = f'cuda:{torch.cuda.device_count()}'
    with pytest.raises(ConfigError, match=r"set device to 'cpu' or 'auto'\.$"):
        resolve_device(missing)
    assert resolve_device('cpu').type == 'cpu'
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 2)
    assert resolve_device('cuda') == torch.device('cuda', 0)
    assert resolve_device('cuda:1') == torch.device('cuda', 1)
    assert resolve_device('auto').type in ('cpu', 'cuda')


@pytest.mark.parametrize(
    ('flags', 'expected'),
    [('avx2 avx512_bf16 sse', torch.bfloat16), ('avx2 avx512f', torch.float32)],
)
def test_a_cpu_takes_bfloat16_where_it_is_native(
    flags: str, expected: torch.dtype, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / 'cpuinfo'
    info.write_text(f'processor : 0\nflags : fpu {flags}\n')
    monkeypatch.setattr(device, '_CPU_INFO', info)
    assert resolve_precision('auto', torch.device('cpu')) is expected
    info.unlink()
    assert resolve_precision('auto', torch.device('cpu')) is torch.float32


def test_a_gpu_takes_the_half_with_more_bits_for_what_fits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, 'is_bf16_supported', lambda **_: True)
    gpu = torch.device('cuda', 0)
    assert resolve_precision('auto', gpu, 'embedded') is torch.float16
    assert resolve_precision('auto', gpu, 'depth-anything/DA3-LARGE') is torch.bfloat16
    assert resolve_precision('bf16', gpu, 'embedded') is torch.bfloat16
    assert resolve_precision('auto', torch.device('cpu'), 'embedded') is not torch.float16


def test_precision_names() -> None:
    cpu = torch.device('cpu')
    assert resolve_precision('bf16', cpu) is torch.bfloat16
    assert resolve_precision('fp16', cpu) is torch.float16
