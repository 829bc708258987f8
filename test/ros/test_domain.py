"""DDS domains that are nobody else's."""

import subprocess
import sys

from da3_ros.errors import Da3Error
from da3_ros.ros import domain
from da3_ros.ros.domain import private_domain
import pytest
import rclpy
from rclpy.context import Context

CLAIM_AND_WAIT = """
from da3_ros.ros.domain import private_domain
with private_domain() as domain_id:
    print(domain_id, flush=True)
    input()
"""


def test_a_domain_has_one_owner_until_he_leaves() -> None:
    with private_domain() as first, private_domain() as second:
        assert first != second
    with private_domain() as again:
        assert again == first


def test_other_processes_keep_theirs_until_they_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """However they end."""
    command = [sys.executable, '-c', CLAIM_AND_WAIT]
    pipes = {'stdin': subprocess.PIPE, 'stdout': subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as other:
        theirs = int(other.stdout.readline())
        monkeypatch.setattr(domain, '_DOMAINS', [theirs])
        with pytest.raises(Da3Error, match=f'from {theirs} to {theirs} are in use'):
            private_domain().__enter__()
        other.kill()
        other.wait()
        with private_domain() as ours:
            assert ours == theirs


def test_a_domain_with_a_participant_is_not_given() -> None:
    """Who made it does not know of claims."""
    with private_domain() as claimed:
        pass
    context = Context()
    rclpy.init(context=context, domain_id=claimed)
    node = rclpy.create_node('stranger', context=context)
    try:
        with private_domain() as other:
            assert other != claimed
    finally:
        node.destroy_node()
        rclpy.try_shutdown(context=context)
    with private_domain() as again:
        assert again == claimed
