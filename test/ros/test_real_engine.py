"""The node with the real engine and the network that is in the package."""

from collections.abc import Callable
from pathlib import Path

from da3_ros.engine import StreamingEngine
from da3_ros.geometry.cameras import unproject
import numpy as np
import pytest
from rig import image, Rig
from safetensors.numpy import save_file
from sensor_msgs_py.point_cloud2 import read_points

SIZE = {'resolution': 112}


def bad_weights(kind: str, folder: Path) -> Path:
    """Make one of the files that people point a node at by mistake."""
    path = folder / 'model.safetensors'
    if kind == 'other_model':
        save_file({'some.weight': np.zeros((3, 3), np.float32)}, path)
        (folder / 'config.json').write_text('{}')
    if kind == 'truncated':
        save_file({'some.weight': np.zeros((300, 300), np.float32)}, path)
        path.write_bytes(path.read_bytes()[:1000])
    if kind == 'not_safetensors':
        path.write_bytes(b'PK\x03\x04 a pickle, perhaps')
    return folder if kind == 'directory_without_config' else path


@pytest.mark.parametrize(
    'kind', ['missing', 'truncated', 'other_model', 'not_safetensors', 'directory_without_config']
)
def test_weights_that_are_not_weights_fail_in_a_sentence(
    make_rig: Callable[..., Rig], tmp_path: Path, capfd: pytest.CaptureFixture, kind: str
) -> None:
    """The process stays, and the node can be configured with others."""
    path = bad_weights(kind, tmp_path)
    rig = make_rig(parameters={'model': str(path)} | SIZE, engine=StreamingEngine, is_active=False)
    assert rig.node.trigger_configure().name == 'FAILURE'
    log = capfd.readouterr().err
    assert str(tmp_path) in log and 'Traceback' not in log
    assert rig.state() == 'unconfigured'
    rig.node.set_parameters([rig.parameter('model', 'embedded')])
    assert rig.node.trigger_configure().name == 'SUCCESS'


def test_images_become_depth_cloud_and_pose_that_agree(make_rig: Callable[..., Rig]) -> None:
    """Whatever the network knows: the outputs are one measurement, stamped as their image."""
    rig = make_rig(parameters=SIZE, engine=StreamingEngine)
    rig.listen()
    stamps = [rig.send(image(rig.next_stamp_ns(), width=128, height=96)) for _ in range(3)]
    assert rig.counts().frames_processed == 3, rig.counts()
    for topic in ('depth/image_rect', 'depth/camera_info', 'points', 'odometry'):
        found = [m.header.stamp.sec * 10**9 + m.header.stamp.nanosec for m in rig.heard(topic, 3)]
        assert found == stamps
    depth, info = (rig.messages[f'depth/{name}'][-1] for name in ('image_rect', 'camera_info'))
    cloud = rig.messages['points'][-1]
    pixels = np.frombuffer(depth.data, np.float32).reshape(depth.height, depth.width)
    points = read_points(cloud, field_names=('x', 'y', 'z')).reshape(pixels.shape)
    expected = unproject(pixels, info.k.reshape(3, 3))
    is_point = np.isfinite(points['z'])
    for i, axis in enumerate('xyz'):
        np.testing.assert_allclose(points[axis][is_point], expected[is_point, i], rtol=1e-3)
    assert is_point.sum() > 0.9 * np.isfinite(pixels).sum()  # all but those in the air
    assert np.isfinite(pixels).mean() > 0.5
    assert rig.heard('status')[-1].model == 'embedded'
    assert rig.trigger('reset').success
