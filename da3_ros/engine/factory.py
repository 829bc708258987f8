"""Choosing the engine that a model needs."""

from da3_ros.config import EngineConfig
from da3_ros.engine.device_faults import loading
from da3_ros.engine.single_view import SingleViewEngine
from da3_ros.engine.streaming import StreamingEngine
from da3_ros.model.presets import ModelConfig
from da3_ros.model.weights import network_config

Engine = StreamingEngine | SingleViewEngine


def make_engine(config: EngineConfig, on_device: bool = False, **parts: object) -> Engine:
    """
    Make the engine for what ``config.model`` names; ``parts`` are for a ``StreamingEngine``.

    ``on_device`` has views keep what of them is on a GPU, for whoever makes their points there and
    then lets them go.

    Raises:
        WeightsError: if the weights are missing, damaged or of another network.
        ConfigError: if the device is not there.
        DeviceMemoryError: if the weights do not fit into its memory.

    """
    network = network_config(config.model)
    with loading(config.model):
        if isinstance(network, ModelConfig) and not network.is_any_view:
            return SingleViewEngine(config, on_device=on_device)
        return StreamingEngine(config, on_device=on_device, **parts)
