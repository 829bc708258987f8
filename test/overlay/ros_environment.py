"""
What sourcing the setup file of a ROS 2 installation exports, for the wheels in this venv.

Imported at the start of every Python of the venv. The path of the shared libraries is not set
here: ros_wheels_bootstrapper does that.
"""

import os
import sys

prefixes = os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep)
if sys.prefix not in prefixes:
    os.environ['AMENT_PREFIX_PATH'] = os.pathsep.join([sys.prefix, *filter(None, prefixes)])
os.environ.setdefault('ROS_DISTRO', 'kilted')
os.environ.setdefault('ROS_PYTHON_VERSION', '3')
os.environ.setdefault('ROS_VERSION', '2')
