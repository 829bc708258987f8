"""Stand-in for sensor_msgs_py where no ROS 2 installation brings the real one."""
