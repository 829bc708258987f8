"""What comes in: garbage is counted and survived, the freshest frame goes first."""

from collections.abc import Callable
import threading
import time

import cv2
from da3_ros.ros.convert import byte_array, header_at
import numpy as np
import pytest
from rig import camera_info, FRAME_ID, HEIGHT, image, K, Rig, wait_for, WIDTH
from sensor_msgs.msg import CameraInfo, CompressedImage


@pytest.mark.parametrize(
    ('reason', 'fields'),
    [
        ('frame_size', {'width': 0, 'height': 0, 'step': 0, 'data': []}),
        ('frame_step', {'step': WIDTH}),
        ('frame_encoding', {'encoding': 'klingon8'}),
        ('frame_data', {'data': byte_array(np.zeros(100, np.uint8))}),
    ],
)
def test_a_broken_image_is_counted_and_the_next_one_goes_through(
    rig: Rig, reason: str, fields: dict
) -> None:
    """Counted under its name, nothing published for it."""
    rig.send(image(rig.next_stamp_ns(), **fields))
    assert rig.counts().drops == {reason: 1}
    stamp = rig.send()
    (depth,) = rig.heard('depth/image_rect')
    assert depth.header.stamp.sec * 10**9 + depth.header.stamp.nanosec == stamp
    assert rig.state() == 'active'


def test_a_broken_image_is_said_once_and_counted_always(
    rig: Rig, capfd: pytest.CaptureFixture
) -> None:
    """Logs are throttled by reason."""
    for _ in range(5):
        rig.send(image(rig.next_stamp_ns(), encoding='klingon8'))
    rig.send(image(rig.next_stamp_ns(), step=1))
    rig.send()  # a drop is counted first and said then, both before the next image
    assert rig.counts().drops == {'frame_encoding': 5, 'frame_step': 1}
    log = capfd.readouterr().err
    assert log.count("has the encoding 'klingon8'") == 1
    assert log.count('has a step of 1 bytes') == 1


def test_another_image_size_starts_a_new_map(rig: Rig) -> None:
    """A camera that changes its resolution is one that was restarted."""
    rig.send()
    rig.send(image(rig.next_stamp_ns(), width=32, height=64))
    depth = rig.heard('depth/image_rect', 2)[-1]
    assert (depth.width, depth.height) == (16, 32)
    assert rig.counts().frames_processed == 2
    assert len(rig.engine.keyframes) == 1


def test_stamps_that_go_back_a_little_are_dropped(rig: Rig) -> None:
    """And so are repeated ones; the map stays."""
    stamp = rig.send()
    rig.send(image(stamp - 10**7))
    rig.send(image(stamp))
    rig.send()
    assert rig.counts().drops == {'frame_stamp': 2}
    assert len(rig.heard('points', 2)) == 2


def test_stamps_that_go_back_far_start_a_new_map(rig: Rig) -> None:
    """A bag that loops."""
    for _ in range(4):
        rig.send()
    assert len(rig.engine.keyframes) == 2
    rig.send(image(5 * 10**9))
    path = wait_for(
        lambda: [m for m in rig.messages['keyframes'] if m.header.stamp.sec == 5], 'a new path'
    )[-1]
    assert len(path.poses) == 1
    assert rig.counts().frames_dropped == 0


def test_an_unexpected_error_costs_one_frame(rig: Rig, capfd: pytest.CaptureFixture) -> None:
    """A bug in the engine is logged with its traceback and counted."""
    rig.send()
    rig.engine.raises = RuntimeError('a bug')
    rig.send()
    rig.send()
    assert rig.counts().drops == {'frame_error': 1}
    assert rig.counts().frames_processed == 2
    log = capfd.readouterr().err
    assert 'Traceback' in log and 'RuntimeError: a bug' in log


def test_intrinsics_go_with_the_image(rig: Rig) -> None:
    """Those of camera_info when there are some, None before."""
    rig.send()
    assert rig.engine.frames[-1].intrinsics is None
    rig.send_info()
    rig.send()
    np.testing.assert_array_equal(rig.engine.frames[-1].intrinsics, K)


def test_new_intrinsics_count_from_the_next_image_on(rig: Rig) -> None:
    """A zoom: the stream goes on, and what is published has the new K at the size of the depth."""
    for k in (K, K * [[1.5], [1.5], [1]]):
        rig.send_info(camera_info(k))
        rig.send()
        np.testing.assert_array_equal(rig.engine.frames[-1].intrinsics, k)
        info = rig.heard('depth/camera_info', len(rig.engine.frames))[-1]
        assert (info.width, info.height) == (WIDTH // 2, HEIGHT // 2)
        np.testing.assert_allclose(info.p.reshape(3, 4)[:2, :3], k[:2] / 2)
        np.testing.assert_array_equal(info.k.reshape(3, 3), info.p.reshape(3, 4)[:, :3])
    assert rig.counts().drops == {}


@pytest.mark.parametrize('k', [K * np.nan, -K])
def test_nonsense_intrinsics_are_counted_and_the_last_good_ones_stay(
    rig: Rig, k: np.ndarray
) -> None:
    """NaN, negative."""
    rig.send_info()
    rig.send_info(camera_info(k))
    rig.send()
    np.testing.assert_array_equal(rig.engine.frames[-1].intrinsics, K)
    assert rig.counts().drops == {'info_intrinsics': 1}
    assert rig.counts().frames_dropped == 0


def test_an_uncalibrated_camera_says_so_once(rig: Rig, capfd: pytest.CaptureFixture) -> None:
    """With every image it sends a K of zeros; counted again only after it was calibrated."""
    rig.publish(camera_info(0 * K), 'camera_info')
    wait_for(lambda: rig.counts().drops, 'it to be counted')
    for _ in range(3):
        rig.node.cameras[''].learn(camera_info(0 * K))
        rig.send()
    assert rig.engine.frames[-1].intrinsics is None
    assert rig.counts().drops == {'info_uncalibrated': 1}
    assert capfd.readouterr().err.count('the camera is not calibrated') == 1
    for k in (K, 0 * K, 0 * K):
        rig.node.cameras[''].learn(camera_info(k))
    rig.send()
    np.testing.assert_array_equal(rig.engine.frames[-1].intrinsics, K)
    assert rig.counts().drops == {'info_uncalibrated': 2}


def test_images_of_a_part_of_the_sensor_have_its_intrinsics(rig: Rig) -> None:
    """By size: of a CameraInfo with region and binning, and of one for the whole."""
    rig.send_info()
    part = camera_info(K * [[2], [2], [1]], 2 * WIDTH, 2 * HEIGHT)
    part.roi.x_offset, part.roi.width, part.roi.height = WIDTH, WIDTH, 2 * HEIGHT
    part.binning_y = 2
    rig.send_info(part)
    rig.send()
    expected = K * [[2], [1], [1]] - [[0, 0, WIDTH], [0, 0, 0], [0, 0, 0]]
    np.testing.assert_allclose(rig.engine.frames[-1].intrinsics, expected)


def test_camera_info_of_another_size_is_not_used(rig: Rig) -> None:
    """Counted for each image; the network's own intrinsics serve."""
    rig.send_info(camera_info(width=2 * WIDTH))
    rig.send()
    assert rig.engine.frames[-1].intrinsics is None
    assert rig.counts().drops == {'info_size': 1}
    rig.send_info()
    rig.send()
    assert rig.engine.frames[-1].intrinsics is not None
    assert rig.counts().drops == {'info_size': 1}


def test_ever_new_sizes_of_camera_info_do_not_fill_the_memory(rig: Rig) -> None:
    """The newest ones are kept."""
    for width in range(1, 40):
        rig.node.cameras[''].learn(camera_info(width=width))
    rig.node.cameras[''].learn(camera_info())
    rig.send()
    np.testing.assert_array_equal(rig.engine.frames[-1].intrinsics, K)
    assert len(rig.node.cameras[''].calibrations) <= 8


def test_distortion_reaches_the_engine(rig: Rig) -> None:
    """As the coefficients of the CameraInfo."""
    info: CameraInfo = camera_info()
    info.distortion_model, info.d = 'plumb_bob', [0.1, 0.0, 0.0, 0.0, 0.0]
    rig.send_info(info)
    rig.send()
    assert rig.engine.frames[-1].distortion.model == 'plumb_bob'
    published = rig.heard('depth/camera_info')[-1]
    assert not np.any(published.d)


@pytest.mark.parametrize(('sec', 'nanosec'), [(-1, 0), (2**31 - 1, 2**32 - 1), (5, 10**9)])
def test_an_impossible_stamp_is_counted(rig: Rig, sec: int, nanosec: int) -> None:
    """Such a time could not be sent again, nor looked up in TF."""
    bad = image(rig.next_stamp_ns())
    bad.header.stamp.sec, bad.header.stamp.nanosec = sec, nanosec
    rig.send(bad)
    rig.send()
    assert rig.counts().drops == {'frame_stamp': 1}


@pytest.mark.parametrize('frame_id', ['', 'a\nb', 'a b', '\x1b[31mred', '\u202eback', 'x' * 10**5])
def test_odd_frame_ids_break_neither_log_nor_tf(
    rig: Rig, capfd: pytest.CaptureFixture, frame_id: str
) -> None:
    """The depth goes out with the frame of its image; no transform does, and the log says so."""
    odd = image(rig.next_stamp_ns())
    odd.header.frame_id = frame_id
    rig.send(odd)
    assert rig.heard('depth/image_rect')[0].header.frame_id == frame_id
    assert rig.counts().drops == {'tf_frame': 1}
    rig.send()
    assert [t.child_frame_id for m in rig.heard('/tf') for t in m.transforms] == [FRAME_ID]
    (line,) = [line for line in capfd.readouterr().err.splitlines() if 'tf_frame' in line]
    assert line.isprintable() and len(line) < 10_000


@pytest.mark.parametrize('frame_id', ['/camera', 'kamera_ü', '../../etc/passwd', "a';--", '%s%n'])
def test_unusual_frame_ids_are_frames(rig: Rig, frame_id: str) -> None:
    """All but the slash that names began with in ROS 1."""
    unusual = image(rig.next_stamp_ns())
    unusual.header.frame_id = frame_id
    rig.send(unusual)
    assert rig.heard('/tf')[0].transforms[0].child_frame_id == frame_id.lstrip('/')
    assert rig.counts().drops == {}


def compressed(stamp: int, cut: int | None = None) -> CompressedImage:
    """Return a PNG of a red image, or the first bytes of it."""
    bgr = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    bgr[..., 2] = 200
    data = cv2.imencode('.png', bgr)[1][:cut]
    return CompressedImage(header=header_at(stamp, FRAME_ID), format='png', data=byte_array(data))


def test_compressed_images_come_on_their_own_topic(
    make_rig: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decoded to rgb by the worker; a cut one is counted; the raw topic is not subscribed to."""
    decoders = set()

    def decode(*given: object) -> np.ndarray:
        decoders.add(threading.current_thread().name)
        return imdecode(*given)

    imdecode = cv2.imdecode
    monkeypatch.setattr(cv2, 'imdecode', decode)
    rig = make_rig(parameters={'transport': 'compressed'})
    rig.listen()
    rig.send(compressed(rig.next_stamp_ns(), cut=40), topic='image/compressed')
    rig.send(compressed(rig.next_stamp_ns()), topic='image/compressed')
    assert rig.counts().drops == {'frame_decode': 1}
    assert rig.engine.frames[-1].rgb[0, 0].tolist() == [200, 0, 0]
    assert decoders == {'da3_worker'}
    assert rig.heard('points')[0].header.frame_id == FRAME_ID
    assert {s.topic_name for s in rig.node.subscriptions} >= {'/image/compressed', '/camera_info'}
    assert '/image' not in {s.topic_name for s in rig.node.subscriptions}


def test_the_freshest_frame_goes_first(rig: Rig) -> None:
    """While the engine is busy, older frames make room, and all of them are accounted for."""
    rig.send()
    rig.engine.gate.clear()
    stamps = [rig.next_stamp_ns() for _ in range(6)]
    rig.publish(image(stamps[0]), 'image')
    wait_for(lambda: rig.engine.is_pushing, 'the engine to take it')
    for stamp in stamps[1:]:
        rig.publish(image(stamp), 'image')
    wait_for(lambda: rig.counts().frames_received == 7, 'all images to arrive')
    rig.engine.gate.set()
    wait_for(lambda: rig.counts().frames_processed == 3, 'the newest one')
    counts = rig.counts()
    assert counts.drops == {'frame_superseded': 4}
    assert counts.frames_received == counts.frames_processed + counts.frames_dropped
    assert [f.stamp_ns for f in rig.engine.frames[1:]] == [stamps[0], stamps[-1]]


def test_the_executor_does_not_wait_for_the_engine(rig: Rig) -> None:
    """A service answers while a frame is stuck in the network."""
    rig.send()
    rig.engine.gate.clear()
    rig.publish(image(rig.next_stamp_ns()), 'image')
    start = time.monotonic()
    assert rig.state() == 'active'
    assert time.monotonic() - start < 1.0
    assert rig.engine.threads == {'da3_worker'}


def test_each_of_several_cameras_is_missed(make_rig: Callable[..., Rig]) -> None:
    """By its name, while the other one sends."""
    rig = make_rig(parameters={'cameras': ['front', 'left']})
    rig.listen('/diagnostics')
    rig.send(topic='left/image')

    def warnings() -> list:
        rig.send(topic='front/image')
        return [
            m.status[0]
            for m in rig.messages['/diagnostics']
            if "of 'left' for" in m.status[0].message
        ]

    (warning, *_) = wait_for(warnings, 'the warning')
    assert warning.level == b'\x01'
    values = {v.key: v.value for v in warning.values}
    silence_s = values["silence of 'left' [s]"]
    assert warning.message == f"No image of 'left' for {silence_s} s." and int(silence_s) >= 2
    assert int(values["silence of 'front' [s]"]) < 2


def test_a_silent_camera_is_a_warning(make_rig: Callable[..., Rig]) -> None:
    """After two seconds, and it goes away with the next image."""
    rig = make_rig()
    rig.listen('/diagnostics')
    rig.send()
    silent = wait_for(
        lambda: [m for m in rig.messages['/diagnostics'] if 'No image' in m.status[0].message],
        'the warning',
    )
    assert silent[0].status[0].level == b'\x01'
    heard = len(rig.messages['/diagnostics'])
    rig.send()
    wait_for(
        lambda: any(m.status[0].level == b'\x00' for m in rig.messages['/diagnostics'][heard:]),
        'the warning to go away',
    )
