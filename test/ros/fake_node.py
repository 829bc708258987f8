"""Run ``da3_node`` with the fake engine: ``fake_node.py [seconds per push] [--ros-args …]``."""

import sys
import time

from da3_ros.ros.main import main
from fake_engine import FakeEngine


class SlowEngine(FakeEngine):
    """Takes as long as the command line says: to load, or for a push."""

    def __init__(self, config: object, **parts: object) -> None:
        if config.model == 'slow_to_load':
            time.sleep(60.0)
        super().__init__(config, **parts)
        self.delay_s = float(sys.argv[1])


def make_node() -> object:
    """Return the node with the fake engine."""
    from da3_ros.ros.node import Da3Node

    return Da3Node(SlowEngine)


if __name__ == '__main__':
    sys.exit(main(make_node=make_node))
