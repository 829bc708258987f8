"""What browsers see of a map: the page, what it is told, and the server of both; no ROS."""
