"""Run ``da3_node`` with the fake engine: ``fake_node.py [seconds per push] [--ros-args …]``."""

import atexit
from collections.abc import Sequence
import os
import sys
import time

from da3_ros.engine import Frame, Update
from da3_ros.ros.main import main
from fake_engine import FakeEngine

PUSHING = 'Pushing frames ...'
is_broken = False  # the device, for this process


class SlowEngine(FakeEngine):
    """Takes as long as the command line says: to load, or for a push."""

    def __init__(self, config: object, **parts: object) -> None:
        if config.model == 'slow_to_load':
            time.sleep(60.0)
        if config.model == 'fragile' and is_broken:
            raise RuntimeError('CUDA error: an illegal memory access was encountered')
        super().__init__(config, **parts)
        self.delay_s = float(sys.argv[1])

    def push(self, frames: Sequence[Frame]) -> Update:
        """Say so, so that whoever reads the log knows where the process is."""
        print(PUSHING, file=sys.stderr, flush=True)
        if self.model_name == 'fragile':
            global is_broken
            is_broken = True
            atexit.register(os.abort)  # as torch may, when it puts such a device away
            raise RuntimeError('CUDA error: an illegal memory access was encountered')
        return super().push(frames)


def make_node() -> object:
    """Return the node with the fake engine."""
    from da3_ros.ros.node import Da3Node

    return Da3Node(SlowEngine)


if __name__ == '__main__':
    sys.exit(main(make_node=make_node))
