"""From the configuration to the networks that an engine runs."""

from dataclasses import dataclass

from da3_ros.config import EngineConfig
from da3_ros.engine.device import downloaded, resolve_precision
from da3_ros.engine.runner import WindowView
from da3_ros.engine.scale import MetricPrediction
from da3_ros.errors import ConfigError
from da3_ros.model import load_model
from da3_ros.model.acceleration import accelerate
from da3_ros.model.da3 import AnyViewNetwork
from da3_ros.model.nested import NestedNetwork
from da3_ros.model.network import Network
from da3_ros.model.single_view import SingleViewNetwork
from da3_ros.model.sky import is_sky
import numpy as np
import torch


@dataclass(frozen=True)
class Networks:
    """
    The networks of a streaming engine.

    ``named`` is what ``model`` names and knows its source and licence; ``window`` predicts
    windows; ``metric`` knows metres, if there is one. Of a nested network the two are branches: a
    scale that is new with every frame would make the map breathe, so its metric branch is a source
    of the scale like any other.
    """

    named: Network
    window: AnyViewNetwork
    metric: SingleViewNetwork | None


def load_networks(config: EngineConfig, device: torch.device) -> Networks:
    """
    Load what ``model`` and ``metric_model`` name.

    Raises:
        WeightsError: if weights are missing, damaged or of another network.
        ConfigError: if ``model`` sees single views alone, or ``metric_model`` is not metric.

    """
    precision = resolve_precision(config.precision, device, config.model)
    named = load_model(config.model, device, precision)
    if isinstance(named, SingleViewNetwork):
        raise ConfigError(
            f"'model' is '{config.model}', which sees each view alone; expected an any-view "
            'network.'
        )
    is_nested = isinstance(named, NestedNetwork)
    metric = named.metric if is_nested else None
    if config.metric_model:
        metric = _metric_branch(load_model(config.metric_model, device, precision))
    return Networks(named, named.any_view if is_nested else named, metric)


def _metric_branch(net: Network) -> SingleViewNetwork:
    if isinstance(net, NestedNetwork):
        return net.metric
    if not isinstance(net, SingleViewNetwork) or net.config.canonical_focal_px is None:
        raise ConfigError(
            f"'metric_model' is '{net.source_name}', which knows no metres; expected one such as "
            'depth-anything/DA3METRIC-LARGE.'
        )
    return net


class MetricNetworkRunner:
    """A metric network, as the scale source ``metric_model`` asks for it."""

    def __init__(self, net: SingleViewNetwork) -> None:
        """Take a network that already is on its device and in its precision."""
        self._net = accelerate(net, 'fused')

    @torch.inference_mode()
    def infer(self, view: WindowView, intrinsics: np.ndarray) -> MetricPrediction:
        """Predict a view by the intrinsics (3, 3) of its very image."""
        image = view.image[None, None].to(self._net.dtype)
        matrix = torch.as_tensor(intrinsics, dtype=torch.float32, device=image.device)
        prediction = self._net(image, matrix[None, None])
        return MetricPrediction(*downloaded(prediction.depth[0, 0], is_sky(prediction.sky[0, 0])))
