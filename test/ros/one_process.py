"""
Publish images and process every one of them, in one process: ``one_process.py COUNT``.

All are published while the network is held; what is in the middleware then is more than it may
keep. Ends with 0 when every image was processed, in order.
"""

import sys

from peer import wait_for
import rclpy
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from rig import image, Rig
from sensor_msgs.msg import Image

if __name__ == '__main__':
    count = int(sys.argv[1])
    rclpy.init()
    rig = Rig(parameters={'replay': 'every_frame'})
    rig.engine.gate.clear()
    keep_all = QoSProfile(history=HistoryPolicy.KEEP_ALL, reliability=ReliabilityPolicy.RELIABLE)
    publisher = rig.peer.create_publisher(Image, '/image', keep_all)
    wait_for(publisher.get_subscription_count, 'the node to listen')
    stamps = [rig.next_stamp_ns() for _ in range(count)]
    for stamp in stamps:
        publisher.publish(image(stamp))
    rig.engine.gate.set()
    wait_for(lambda: rig.counts().frames_processed == count, 'all images to be processed')
    assert [frame.stamp_ns for frame in rig.engine.frames] == stamps
    rig.close()
    rclpy.shutdown()
