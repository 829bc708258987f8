"""The ROS side: the lifecycle node, its parameters, topics and services; only it imports rclpy."""
