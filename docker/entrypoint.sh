#!/bin/bash
# Runs a command in the environment of ROS 2 and da3_ros.
set -e
. "/opt/ros/$ROS_DISTRO/setup.bash"
. /opt/da3_ros/local_setup.bash
exec "$@"
