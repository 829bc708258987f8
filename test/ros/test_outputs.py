"""What the node publishes for an image."""

from rig import Rig


def test_every_topic_carries_the_stamp_of_its_image(rig: Rig) -> None:
    """Names, types and stamps of the contract."""
    rig.send_info()
    stamp = rig.send()
    for topic in ('depth/image_rect', 'depth/camera_info', 'confidence/image_rect', 'points'):
        message = rig.heard(topic)[0]
        assert message.header.stamp.sec * 10**9 + message.header.stamp.nanosec == stamp
