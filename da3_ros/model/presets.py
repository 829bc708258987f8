"""What the members of the Depth Anything 3 family are: every constant, name and licence."""

from dataclasses import dataclass

from da3_ros.errors import ConfigError

# ImageNet statistics of RGB in [0, 1]: what every member of the family was normalised with.
IMAGE_MEAN = (0.485, 0.456, 0.406)
IMAGE_STD = (0.229, 0.224, 0.225)
HEAD_DIM = 64  # channels of one attention head, in every member of the family


@dataclass(frozen=True)
class ModelConfig:
    """
    The constants that tell one any-view network from another.

    Blocks count from 0. Block i attends across the views if i >= ``alt_start`` and i is odd, and
    inside one view otherwise. ``out_layers`` are the four blocks that the dense head reads.

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
        if not 2 <= self.alt_start < self.depth:
            raise ConfigError(
                f"'{self.name}': alt_start must lie in [2, depth), got {self.alt_start}."
            )
        if any(not self.alt_start <= i < self.depth or i % 2 == 0 for i in self.out_layers):
            raise ConfigError(
                f"'{self.name}': out_layers must be cross-view blocks (odd, in "
                f'[{self.alt_start}, {self.depth})), got {self.out_layers}.'
            )
        if list(self.out_layers) != sorted(set(self.out_layers)) or len(self.out_layers) != 4:
            raise ConfigError(
                f"'{self.name}': out_layers must be four rising blocks, got {self.out_layers}."
            )

    @property
    def tap_dim(self) -> int:
        """Channels of one tap: the last single-view block beside the cross-view block."""
        return 2 * self.embed_dim

    @property
    def ffn_dim(self) -> int:
        """Hidden channels of a trunk block; SwiGLU takes two thirds, rounded up to eights."""
        hidden = 4 * self.embed_dim
        return hidden if self.ffn == 'mlp' else (hidden * 2 // 3 + 7) // 8 * 8


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
)
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

APACHE = 'Apache-2.0'
NON_COMMERCIAL = 'CC-BY-NC-4.0'


@dataclass(frozen=True)
class Release:
    """A set of official weights: its network (None: not an any-view network) and its licence."""

    config: ModelConfig | None
    licence: str


RELEASES: dict[str, Release] = {
    'depth-anything/DA3-SMALL': Release(SMALL, APACHE),
    'depth-anything/DA3-BASE': Release(BASE, APACHE),
    'depth-anything/DA3-LARGE': Release(LARGE, NON_COMMERCIAL),
    'depth-anything/DA3-LARGE-1.1': Release(LARGE, NON_COMMERCIAL),
    'depth-anything/DA3-GIANT': Release(GIANT, NON_COMMERCIAL),
    'depth-anything/DA3-GIANT-1.1': Release(GIANT, NON_COMMERCIAL),
    'depth-anything/DA3MONO-LARGE': Release(None, APACHE),
    'depth-anything/DA3METRIC-LARGE': Release(None, APACHE),
    'depth-anything/DA3NESTED-GIANT-LARGE': Release(None, NON_COMMERCIAL),
    'depth-anything/DA3NESTED-GIANT-LARGE-1.1': Release(None, NON_COMMERCIAL),
}
"""Hugging Face id -> network and licence, as the official model cards list them."""

LICENCES: dict[str, str] = {
    'da3-embedded': APACHE,
    'da3-small': APACHE,
    'da3-base': APACHE,
    'da3-large': NON_COMMERCIAL,
    'da3-giant': NON_COMMERCIAL,
}
"""Name in config.json -> licence of the official weights of that name."""

UNSUPPORTED_NAMES = ('da3mono-large', 'da3metric-large', 'da3nested-giant-large')


def preset_named(name: str) -> ModelConfig | None:
    """Return the preset called ``name`` in a config.json (``da3-small``), or None."""
    return next((config for config in PRESETS.values() if config.name == name), None)
