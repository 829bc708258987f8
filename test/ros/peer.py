"""Whoever talks to the node under test: a node that spins in a thread and calls services."""

from collections.abc import Callable
import signal
import subprocess
import threading
import time
from typing import Any

from rcl_interfaces.srv import GetParameters
from rclpy.client import Client
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

# So long that only what never comes is missed, on a busy machine too.
PATIENCE_S = 30.0
_ASK_AGAIN_S = 1.0
_POLITE_S = 10.0


def wait_for(condition: Callable[[], Any], what: str, timeout_s: float = PATIENCE_S) -> Any:
    """Return the first true value of ``condition``, or fail."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.005)
    raise AssertionError(f'Waited {timeout_s} s in vain for {what}.')


def end(process: subprocess.Popen) -> None:
    """
    End a process with nodes in it, politely: one that is killed stays among the nodes.

    For 20 seconds others then think that it still listens, and wait for nobody.
    """
    process.send_signal(signal.SIGINT)
    try:
        process.wait(_POLITE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Spinner:
    """An executor in a thread."""

    def __init__(self, node: Node) -> None:
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(node)
        self._thread = threading.Thread(target=self._executor.spin, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Spin no more."""
        self._executor.shutdown()
        self._thread.join(PATIENCE_S)


class Peer(Node):
    """A node that spins from the start and keeps a client for each service that it calls."""

    def __init__(self, name: str = 'peer') -> None:
        super().__init__(name)
        self._introduced: dict[str, Client] = {}
        self._introducing = threading.Lock()
        self._spinner = Spinner(self)

    def destroy_node(self) -> None:
        """Stop spinning and destroy the node."""
        self._spinner.stop()
        super().destroy_node()

    def call(self, kind: type, name: str, request: Any = None) -> Any:
        """Call a service, once, and return its response; ``kind``'s default request by default."""
        with self._introducing:
            if name not in self._introduced:
                self._introduced[name] = self._introduce(kind, name)
        future = self._introduced[name].call_async(kind.Request() if request is None else request)
        wait_for(future.done, f'the answer of {name}')
        return future.result()

    def _introduce(self, kind: type, name: str) -> Client:
        """
        Make a client whose responses arrive.

        A client knows when it has discovered its server, but not whether the server has discovered
        it; until then rmw_fastrtps drops the responses, for good. Discovery announces clients in
        their order. So a node that answers a question of a younger client knows this one too, and
        the question may be asked again until it is answered.
        """
        client = self.create_client(kind, name)
        question = self.create_client(GetParameters, f'{name.rpartition("/")[0]}/get_parameters')
        wait_for(
            lambda: client.service_is_ready() and question.service_is_ready(),
            f'the service {name}',
        )
        futures, asked_at = [], 0.0

        def is_answered() -> bool:
            nonlocal asked_at
            if time.monotonic() - asked_at > _ASK_AGAIN_S:
                futures.append(question.call_async(GetParameters.Request()))
                asked_at = time.monotonic()
            return any(future.done() for future in futures)

        wait_for(is_answered, f'the node of {name} to know its client')
        self.destroy_client(question)
        return client
