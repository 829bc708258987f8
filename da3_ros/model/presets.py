"""What the members of the Depth Anything 3 family are: every constant."""

from dataclasses import dataclass, replace

from da3_ros.errors import ConfigError

# ImageNet statistics of RGB in [0, 1]: what every member of the family was normalised with.
IMAGE_MEAN = (0.485, 0.456, 0.406)
IMAGE_STD = (0.229, 0.224, 0.225)
HEAD_DIM = 64  # channels of one attention head, in every member of the family


@dataclass(frozen=True)
class ModelConfig:
    """
    The constants that tell one network from another.

    Blocks count from 0. Block i attends across the views if i >= ``alt_start`` and i is odd, and
    inside one view otherwise. A single-view network has none of the former: all its starts are
    ``depth``. ``out_layers`` are the four blocks that the dense head reads.

    Raises:
        ConfigError: if the constants do not describe a network that can be built.

    """

    name: str
    embed_dim: int
    depth: int
    heads: int
    out_layers: tuple[int, int, int, int]
    alt_start: int
    qk_norm_start: int
    rope_start: int
    head_features: int
    head_channels: tuple[int, int, int, int]
    ffn: str = 'mlp'  # or 'swiglu'
    camera_encoder_depth: int = 4
    camera_encoder_heads: int = 16
    patch_size: int = 14
    position_grid: int = 37  # side of the learned position table: 518 px / 14
    resolution: int = 504  # longest side of the image that the weights were trained for, pixels
    has_gaussians: bool = False
    canonical_focal_px: float | None = None  # depth is in metres for a camera of this focal length

    def __post_init__(self) -> None:
        """Refuse constants that contradict each other."""
        if self.embed_dim != HEAD_DIM * self.heads:
            raise ConfigError(
                f"'{self.name}': embed_dim must be {HEAD_DIM} x heads, "
                f'got {self.embed_dim} with {self.heads} heads.'
            )
        if self.embed_dim % self.camera_encoder_heads:
            raise ConfigError(
                f"'{self.name}': embed_dim must be a multiple of camera_encoder_heads, "
                f'got {self.embed_dim} and {self.camera_encoder_heads}.'
            )
        if self.ffn not in ('mlp', 'swiglu'):
            raise ConfigError(f"'{self.name}': ffn must be 'mlp' or 'swiglu', got '{self.ffn}'.")
        if not 2 <= self.alt_start <= self.depth:
            raise ConfigError(
                f"'{self.name}': alt_start must lie in [2, depth], got {self.alt_start}."
            )
        first, odd = (self.alt_start, True) if self.is_any_view else (0, False)
        if any(not first <= i < self.depth or (odd and i % 2 == 0) for i in self.out_layers):
            kind = 'cross-view blocks (odd, in' if odd else 'blocks (in'
            raise ConfigError(
                f"'{self.name}': out_layers must be {kind} [{first}, {self.depth})), "
                f'got {self.out_layers}.'
            )
        if list(self.out_layers) != sorted(set(self.out_layers)) or len(self.out_layers) != 4:
            raise ConfigError(
                f"'{self.name}': out_layers must be four rising blocks, got {self.out_layers}."
            )

    @property
    def is_any_view(self) -> bool:
        """Whether views see each other and have cameras; else each is seen alone."""
        return self.alt_start < self.depth

    @property
    def tap_dim(self) -> int:
        """Channels of one tap: the last single-view block beside the cross-view block, if any."""
        return 2 * self.embed_dim if self.is_any_view else self.embed_dim

    @property
    def ffn_dim(self) -> int:
        """Hidden channels of a trunk block; SwiGLU takes two thirds, rounded up to eights."""
        hidden = 4 * self.embed_dim
        return hidden if self.ffn == 'mlp' else (hidden * 2 // 3 + 7) // 8 * 8


@dataclass(frozen=True)
class NestedConfig:
    """An any-view network and the metric one that gives it its scale, in one file."""

    name: str
    any_view: ModelConfig
    metric: ModelConfig

    @property
    def resolution(self) -> int:
        """Longest side of the image that the weights were trained for, pixels."""
        return self.any_view.resolution


NetworkConfig = ModelConfig | NestedConfig

SMALL = ModelConfig(
    name='da3-small',
    embed_dim=384,
    depth=12,
    heads=6,
    out_layers=(5, 7, 9, 11),
    alt_start=4,
    qk_norm_start=4,
    rope_start=4,
    head_features=64,
    head_channels=(48, 96, 192, 384),
)
BASE = ModelConfig(
    name='da3-base',
    embed_dim=768,
    depth=12,
    heads=12,
    out_layers=(5, 7, 9, 11),
    alt_start=4,
    qk_norm_start=4,
    rope_start=4,
    head_features=128,
    head_channels=(96, 192, 384, 768),
)
LARGE = ModelConfig(
    name='da3-large',
    embed_dim=1024,
    depth=24,
    heads=16,
    out_layers=(11, 15, 19, 23),
    alt_start=8,
    qk_norm_start=8,
    rope_start=8,
    head_features=256,
    head_channels=(256, 512, 1024, 1024),
)
GIANT = ModelConfig(
    name='da3-giant',
    embed_dim=1536,
    depth=40,
    heads=24,
    out_layers=(19, 27, 33, 39),
    alt_start=13,
    qk_norm_start=13,
    rope_start=13,
    head_features=256,
    head_channels=(256, 512, 1024, 1024),
    ffn='swiglu',
    has_gaussians=True,
)
MONO = ModelConfig(
    name='da3mono-large',
    embed_dim=1024,
    depth=24,
    heads=16,
    out_layers=(4, 11, 17, 23),
    alt_start=24,
    qk_norm_start=24,
    rope_start=24,
    head_features=256,
    head_channels=(256, 512, 1024, 1024),
)
METRIC = replace(MONO, name='da3metric-large', canonical_focal_px=300.0)
NESTED = NestedConfig('da3nested-giant-large', any_view=GIANT, metric=METRIC)
EMBEDDED = ModelConfig(
    name='da3-embedded',
    embed_dim=256,
    depth=12,
    heads=4,
    out_layers=(5, 7, 9, 11),
    alt_start=4,
    qk_norm_start=4,
    rope_start=4,
    head_features=48,
    head_channels=(32, 64, 128, 256),
    camera_encoder_depth=2,
    resolution=224,
)
PRESETS: dict[str, ModelConfig] = {
    'small': SMALL,
    'base': BASE,
    'large': LARGE,
    'giant': GIANT,
    'embedded': EMBEDDED,
}
"""The any-view networks, by their short names."""

NETWORKS: tuple[NetworkConfig, ...] = (*PRESETS.values(), MONO, METRIC, NESTED)
"""Every member of the family."""


def preset_named(name: str) -> NetworkConfig | None:
    """
    Return the preset called ``name`` in a config.json (``da3-small``), or None.

    The retrained weights of a name, ``da3-large-1.1``, are of the same network.
    """
    name = name.removesuffix('-1.1')
    return next((config for config in NETWORKS if config.name == name), None)
