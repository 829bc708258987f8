"""Networks of every kind that take no time."""

from dataclasses import replace

from da3_ros.model.presets import ModelConfig, NestedConfig

TINY = ModelConfig(
    name='tiny',
    embed_dim=64,
    depth=10,
    heads=1,
    out_layers=(3, 5, 7, 9),
    alt_start=2,
    qk_norm_start=2,
    rope_start=2,
    head_features=16,
    head_channels=(8, 16, 16, 16),
    camera_encoder_depth=1,
)
TINY_GIANT = replace(TINY, name='tiny-giant', has_gaussians=True)
TINY_MONO = replace(TINY, name='tiny-mono', alt_start=10, qk_norm_start=10, rope_start=10)
TINY_METRIC = replace(TINY_MONO, name='tiny-metric', canonical_focal_px=300.0)
TINY_NESTED = NestedConfig('tiny-nested', any_view=TINY_GIANT, metric=TINY_METRIC)
