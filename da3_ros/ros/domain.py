"""A DDS domain that nobody else on this machine is in."""

from collections.abc import Iterator
from contextlib import contextmanager
import os
import socket

from da3_ros.errors import Da3Error

# Domains whose ports lie below those that Linux hands out; 0 is everybody's default.
_DOMAINS = range(1, 101)
# The ports of a domain, as DDSI-RTPS maps them (section 9.6): 250 from here on. The first
# participant on a machine listens ten above; 249 above would be the 120th, so that one is free.
_PORTS_FROM, _PORTS = 7400, 250
_OF_FIRST_PARTICIPANT, _OF_CLAIM = 10, 249


@contextmanager
def private_domain() -> Iterator[int]:
    """
    Give a DDS domain without participants, and keep it from other callers while the block lasts.

    A socket is the claim, so it ends with the process, however that ends.

    Raises:
        Da3Error: if all domains are taken.

    """
    for i in range(len(_DOMAINS)):
        domain_id = _DOMAINS[(os.getpid() + i) % len(_DOMAINS)]
        claim = _claim(domain_id)
        if claim is not None:
            with claim:
                yield domain_id
            return
    raise Da3Error(
        f'All DDS domains from {_DOMAINS[0]} to {_DOMAINS[-1]} are in use on this machine; end '
        'some of the processes that are in them.'
    )


def _claim(domain_id: int) -> socket.socket | None:
    """Return a socket that holds a domain until it is closed, or None where somebody is."""
    first_port = _PORTS_FROM + _PORTS * domain_id
    claim = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        claim.bind(('127.0.0.1', first_port + _OF_CLAIM))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as participant:
            participant.bind(('', first_port + _OF_FIRST_PARTICIPANT))
    except OSError:
        claim.close()
        return None
    return claim
