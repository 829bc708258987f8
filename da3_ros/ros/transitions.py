"""One wrapper around every lifecycle transition: nothing that goes wrong stays unsaid."""

from collections.abc import Callable
import functools
import traceback

from da3_ros.errors import Da3Error, DeviceError
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

Transition = Callable[[LifecycleNode, LifecycleState], TransitionCallbackReturn]


def logged(transition: Transition) -> Transition:
    """
    Log what a transition raises: FAILURE with one sentence for our errors, else ERROR.

    A device that failed is an ERROR too, with its sentence alone: there is no way back from it.

    rclpy turns an exception into ERROR without a word. The sentence is kept in ``node.problem``
    for the diagnostics.
    """

    @functools.wraps(transition)
    def wrapper(node: LifecycleNode, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            result = transition(node, state)
        except Da3Error as error:
            node.problem = str(error)
            node.get_logger().error(f'{transition.__name__}: {error}')
            is_over = isinstance(error, DeviceError)
            return TransitionCallbackReturn.ERROR if is_over else TransitionCallbackReturn.FAILURE
        except Exception as error:
            node.problem = f'{type(error).__name__}: {error}'
            node.get_logger().error(f'{transition.__name__}:\n{traceback.format_exc()}')
            return TransitionCallbackReturn.ERROR
        if transition.__name__ != 'on_error':  # what led to it is still worth telling
            node.problem = ''
        return result

    return wrapper
