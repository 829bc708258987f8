"""The node with a network that sees each view alone, and what it says of the weights' licence."""

from collections.abc import Callable
from pathlib import Path

from da3_ros.engine import make_engine
from da3_ros.model.weights import build_network, save_model
from doubles.miniatures import TINY_METRIC
import numpy as np
import pytest
from rig import camera_info, image, Rig, wait_for
import torch

POSE_TOPICS = ('odometry', '/tf')


@pytest.fixture
def parameters(tmp_path: Path) -> dict[str, object]:
    """Return the parameters of a metric network with random weights that sees a lot of sky."""
    torch.manual_seed(0)
    net = build_network(TINY_METRIC)
    torch.nn.init.constant_(net.head.sky_output.last.bias, 1.0)
    save_model(net, tmp_path / 'model.safetensors')
    return {'model': str(tmp_path / 'model.safetensors'), 'resolution': 56}


def depth_of(message: object) -> np.ndarray:
    return np.frombuffer(message.data, np.float32).reshape(message.height, message.width)


def wait_for_status(rig: Rig, published: int) -> None:
    """Wait for the status after so many images, which comes after all that is made of them."""
    wait_for(
        lambda: any(s.frames_published == published for s in rig.messages['status']), 'the status'
    )


def test_depth_without_poses(make_rig: Callable[..., Rig], parameters: dict) -> None:
    """Without CameraInfo depth alone; with it a cloud too, in metres; never a pose."""
    rig = make_rig(parameters=parameters, engine=make_engine)
    rig.listen()
    stamps = [rig.send(image(rig.next_stamp_ns())) for _ in range(2)]
    depth = rig.heard('depth/image_rect', 2)
    assert [m.header.stamp.sec * 10**9 + m.header.stamp.nanosec for m in depth] == stamps
    rig.heard('confidence/image_rect', 2)
    wait_for_status(rig, 2)
    assert not any(rig.messages[t] for t in ('points', 'depth/camera_info', *POSE_TOPICS))
    assert not rig.heard('status')[-1].is_metric

    rig.send_info(camera_info())
    rig.send(image(rig.next_stamp_ns()))
    info, _ = rig.heard('depth/camera_info')[0], rig.heard('points')
    assert info.k[0] > 0
    wait_for_status(rig, 3)
    assert not any(rig.messages[topic] for topic in POSE_TOPICS)
    status = rig.heard('status')[-1]
    assert (status.is_metric, status.scale_source) == (True, 'metric_model')
    assert (status.state, status.keyframes) == (status.TRACKING, 0)
    assert rig.counts().drops == {}


def test_sky_is_nan(make_rig: Callable[..., Rig], parameters: dict) -> None:
    rig = make_rig(parameters=parameters, engine=make_engine)
    rig.listen('depth/image_rect')
    rig.send(image(rig.next_stamp_ns()))
    sky_score = rig.engine._net(torch.zeros(1, 1, 3, 42, 56)).sky
    assert (sky_score > 0.3).any(), 'there is no sky to begin with'
    assert np.isnan(depth_of(rig.heard('depth/image_rect')[0])).any()


def test_there_is_no_map_to_save(make_rig: Callable[..., Rig], parameters: dict) -> None:
    rig = make_rig(parameters=parameters, engine=make_engine)
    answer = rig.trigger('save_map')
    assert not answer.success and 'makes no map' in answer.message
    assert rig.trigger('reset').success


def test_licence_is_logged_and_published(
    make_rig: Callable[..., Rig], capfd: pytest.CaptureFixture
) -> None:
    rig = make_rig()
    assert 'licensed under Apache-2.0 (free to use, commercially too)' in capfd.readouterr().err
    rig.listen('status', '/diagnostics')
    rig.send()
    assert rig.heard('status')[-1].licence == 'Apache-2.0'
    values = {v.key: v.value for v in rig.heard('/diagnostics')[-1].status[0].values}
    assert values['licence'] == 'Apache-2.0'
