"""Run ``da3_node`` with a bug in what hears CameraInfo: ``buggy_node.py``."""

import sys

from da3_ros.ros.main import main
from fake_engine import FakeEngine


def make_node() -> object:
    """Return the node with the fake engine and the bug."""
    from da3_ros.ros.cameras import CameraInput
    from da3_ros.ros.node import Da3Node

    def learn(self: CameraInput, message: object) -> None:
        raise ZeroDivisionError('a bug')

    CameraInput.learn = learn
    return Da3Node(FakeEngine)


if __name__ == '__main__':
    sys.exit(main(make_node=make_node))
