"""Depth Anything 3 on ROS 2: metric depth, point clouds and camera poses from live cameras."""

from pkgutil import extend_path

# The messages generated from msg/ may lie in another folder than these sources (a checkout beside
# a build): both are one package.
__path__ = extend_path(__path__, __name__)
