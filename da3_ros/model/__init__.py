"""The Depth Anything 3 networks: images of one scene in, depth, rays and cameras out."""

from da3_ros.model.prediction import Prediction
from da3_ros.model.presets import ModelConfig, PRESETS
from da3_ros.model.weights import load_any_view, load_model

__all__ = ['ModelConfig', 'PRESETS', 'Prediction', 'load_any_view', 'load_model']
