"""How pose priors fare, for whoever asks the engine."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class PriorStatus:
    """
    What became of the windows so far.

    ``used`` went with poses; ``unused`` by reason those that did not. ``problem`` says in a
    sentence why the last one did not, ``warning`` that poses were found to be false; both may be
    empty. ``deviation_deg`` is by how much decoded rotations differ from given ones, on average.
    """

    used: int = 0
    unused: Mapping[str, int] = field(default_factory=dict)
    problem: str = ''
    warning: str = ''
    deviation_deg: float = float('nan')
