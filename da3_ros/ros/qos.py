"""The five qualities of service that the node uses, by name, and that of whoever listens."""

from collections.abc import Sequence

from da3_ros.config import NodeConfig, QosConfig
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

_RELIABILITY = {
    'best_effort': ReliabilityPolicy.BEST_EFFORT,
    'reliable': ReliabilityPolicy.RELIABLE,
}
# The executor only puts images aside, so a short queue is enough to see every one of them.
_INPUT_DEPTH = 5


def image_qos(config: NodeConfig) -> QoSProfile:
    """Return that of images: an input's, or what loses none however long they wait."""
    if config.replay == 'every_frame':
        return QoSProfile(history=HistoryPolicy.KEEP_ALL, reliability=ReliabilityPolicy.RELIABLE)
    return input_qos(config.qos)


def input_qos(config: QosConfig) -> QoSProfile:
    """Return that of all inputs but TF; best effort is compatible with every publisher."""
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=_INPUT_DEPTH,
        reliability=_RELIABILITY[config.input_reliability],
    )


def output_qos(config: QosConfig) -> QoSProfile:
    """Return that of everything that is published for each frame."""
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=config.output_depth,
        reliability=_RELIABILITY[config.output_reliability],
    )


def latched_qos() -> QoSProfile:
    """Return what keeps the newest message for late joiners, for what changes rarely."""
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=1,
        reliability=ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL,
    )


def diagnostics_qos() -> QoSProfile:
    """Return that of /diagnostics."""
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST, depth=1, reliability=ReliabilityPolicy.RELIABLE
    )


def adapted_qos(offered: Sequence[QoSProfile], depth: int) -> QoSProfile:
    """Return the strongest quality of service that all publishers of a topic can serve."""
    is_reliable = all(q.reliability == ReliabilityPolicy.RELIABLE for q in offered)
    is_latched = all(q.durability == DurabilityPolicy.TRANSIENT_LOCAL for q in offered)
    return QoSProfile(
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE if is_reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if is_latched else DurabilityPolicy.VOLATILE,
    )
