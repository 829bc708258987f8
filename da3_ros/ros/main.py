"""The executable ``da3_node``: one node, one executor, and an end within two seconds."""

from collections.abc import Callable, Sequence
import gc
import os
import signal
import sys
import threading
import traceback
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rclpy.lifecycle import LifecycleNode

_SPIN_TIMEOUT_S = 0.3
# Another process may do better (sysexits' EX_TEMPFAIL): CUDA does no more work for this one.
EXIT_DEVICE_LOST = 75
_EXIT_NO_ROS = 2
# How long a thread may keep the interpreter while others want it [s]. The worker, the publisher,
# the map's cloud and the streams share it, and with Python's 5 ms whoever has a frame to publish
# waits several times that. Measured on an H100, every output heard: large at 30 Hz, the 95th
# percentile from stamp to publication falls from 52 to 25 ms with 0.5 ms, and 0.1 is as good; base
# at 60 Hz, once a frame is late, the median from 28 ms with 0.5 to 16 and 23 with 0.1.
_SWITCH_INTERVAL_S = 1e-4


def main(
    args: Sequence[str] | None = None, make_node: Callable[[], 'LifecycleNode'] | None = None
) -> int:
    """
    Run the node until SIGINT or SIGTERM and return the exit code.

    ``make_node`` makes another node than ``Da3Node`` with its own engine. A process that CUDA
    refuses for good ends with ``EXIT_DEVICE_LOST``: whoever started it may do so again.

    The executor spins in a thread of its own, so that a signal is heard while it loads a network,
    and signals are ours, not rclpy's, so that the node still has its context when it stops.
    """
    # Importing takes seconds, and nothing is there yet that would have to be put away.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(0))

    try:
        from da3_ros.ros.node import Da3Node
        import rclpy
        from rclpy.signals import SignalHandlerOptions
    except ModuleNotFoundError as error:
        print(
            f"da3_node: there is no Python module '{error.name}'. The node needs ROS 2: source "
            'its setup.bash, or .venv/bin/activate after make setup; docs/start.md has both ways.',
            file=sys.stderr,
        )
        return _EXIT_NO_ROS

    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    is_over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: is_over.set())
    # What was imported stays, and collections need not look at it: torch alone takes a second.
    gc.freeze()
    code = _run(make_node or Da3Node, is_over)
    # The shared memory of DDS, 70 MB with our profile, stays on the machine for good unless the
    # last object that refers to the node is gone before the process is.
    gc.collect()
    if code == EXIT_DEVICE_LOST:  # at its end, torch may abort on such a device
        _leave(code)
    gc.freeze()
    return code


def _run(make_node: Callable[[], 'LifecycleNode'], is_over: threading.Event) -> int:
    """Have a node until it is over, and return the exit code; leaves where a thread is stuck."""
    import rclpy
    from rclpy.executors import SingleThreadedExecutor

    node = make_node()
    is_device_lost = threading.Event()

    def end() -> None:
        is_device_lost.set()
        is_over.set()

    node.on_process_lost = end
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    failures: list[str] = []

    def spin() -> None:
        try:
            executor.spin()
        except Exception:
            failures.append(traceback.format_exc())
        finally:
            is_over.set()

    spinner = threading.Thread(target=spin, name='da3_executor', daemon=True)
    spinner.start()
    is_over.wait()

    executor.shutdown(timeout_sec=0)
    spinner.join(_SPIN_TIMEOUT_S)
    for failure in failures:
        node.get_logger().fatal(f'The executor died:\n{failure}')
    code = 1 if failures else EXIT_DEVICE_LOST if is_device_lost.is_set() else 0
    if spinner.is_alive():  # it loads a network
        _leave(code)
    node.destroy_node()
    rclpy.shutdown()
    if node.is_worker_left_behind:
        _leave(code)
    return code


def _leave(code: int) -> None:
    """
    End the process without waiting for native code that another thread is in.

    Such a thread may return into an interpreter that is being torn down and abort the process.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == '__main__':
    sys.exit(main())
