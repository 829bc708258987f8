"""The node in a process of its own, which never outlives the process that started it."""

from collections.abc import Callable, Mapping
import ctypes
import os
from pathlib import Path
import signal
import subprocess
import sys

from da3_ros.errors import Da3Error

# Above the two seconds in which the node ends by itself.
_STOP_TIMEOUT_S = 5.0
_PR_SET_PDEATHSIG = 1


class NodeProcess:
    """Runs ``da3_node`` while a ``with`` block lasts; what it says goes into a log file."""

    def __init__(self, parameters: Mapping[str, object], domain_id: int, log_path: Path) -> None:
        """Describe the process: the node's parameters, its DDS domain, and where its log goes."""
        assignments = [f'{name}:={_yaml(value)}' for name, value in parameters.items()]
        options = [word for a in assignments for word in ('-p', a)]
        self._command = [sys.executable, '-m', 'da3_ros.ros.main', '--ros-args', *options]
        # Whoever started us shares the cores with the node: waiting threads must not spin.
        self._environment = {'OMP_WAIT_POLICY': 'PASSIVE', **os.environ}
        self._environment['ROS_DOMAIN_ID'] = str(domain_id)
        self._log_path = log_path
        self._process: subprocess.Popen | None = None

    def __enter__(self) -> 'NodeProcess':
        """Start the node."""
        die_with_parent = _die_with_parent()
        with self._log_path.open('wb') as log:
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C is for the parent, which then ends the node in its own order.
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        return self

    def __exit__(self, *_: object) -> None:
        """End the node: politely first."""
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            pass
        finally:  # also after a second Ctrl-C
            if self._process.poll() is None:
                self._process.kill()
                self._process.wait()

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    def check(self) -> None:
        """Raise ``Da3Error`` with the end of the log if the node has ended by itself."""
        code = self._process.poll()
        if code is not None:
            raise Da3Error(
                f'The node ended with code {code} before it was told to; the end of its log '
                f'({self._log_path}):\n{self.log_tail()}'
            )

    def log_tail(self, lines: int = 15) -> str:
        """Return the last lines that the node has said."""
        return '\n'.join(self._log_path.read_text(errors='replace').splitlines()[-lines:])


def _die_with_parent() -> Callable[[], None] | None:
    """Return what a child calls so that Linux ends it with its parent, however that ends."""
    if not sys.platform.startswith('linux'):
        return None
    # Looked up here: between fork and exec, a child must not take locks.
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _yaml(value: object) -> str:
    """Return a parameter's value as the command line takes it; text stays text."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        quoted = value.replace("'", "''")
        return f"'{quoted}'"
    return str(value)
