"""Stand-in for cv_bridge where no ROS 2 installation brings the real one."""

from cv_bridge.core import CvBridge, CvBridgeError

__all__ = ['CvBridge', 'CvBridgeError']
