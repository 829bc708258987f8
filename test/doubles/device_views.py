"""Views with tensors of a device, as an engine on a GPU leaves them."""

from dataclasses import replace

from da3_ros.engine import View
from da3_ros.engine.device_view import DeviceView
from da3_ros.engine.preprocess import normalise
import torch


def on_device(view: View, device: torch.device | str = 'cpu') -> View:
    """Return a view that has all of its images on a device, too."""
    images = torch.from_numpy(view.depth_m), torch.from_numpy(view.confidence), normalise(view.rgb)
    return replace(view, on_device=DeviceView(*(image.to(device) for image in images)))
