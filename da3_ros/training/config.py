"""What a training run is: every choice, its default and what it may be."""

from dataclasses import dataclass, fields, replace

from da3_ros.errors import ConfigError
from da3_ros.model.presets import ModelConfig, PRESETS


@dataclass(frozen=True)
class Bucket:
    """A fixed shape of windows: ``views`` pictures of height x width; ``share`` of all steps."""

    views: int
    height: int
    width: int
    share: float = 1.0


BUCKETS = (
    Bucket(4, 168, 224, 0.36),
    Bucket(8, 168, 224, 0.22),
    Bucket(2, 168, 224, 0.14),
    Bucket(1, 168, 224, 0.06),
    Bucket(6, 126, 224, 0.13),
    Bucket(3, 224, 168, 0.09),
)
TINY_BUCKETS = (Bucket(2, 56, 70, 0.5), Bucket(3, 70, 56, 0.5))
CHOICES = {
    'depth_loss': ('log', 'absolute'),
    'clipping': ('module', 'global'),
    # How the matrices of the transformer blocks are updated; all else by AdamW.
    'matrices': ('muon', 'adamw'),
}


def single_view_buckets(buckets: tuple[Bucket, ...]) -> tuple[Bucket, ...]:
    """Return buckets of single views, of the same sizes in the same shares."""
    shares: dict[tuple[int, int], float] = {}
    for bucket in buckets:
        size = bucket.height, bucket.width
        shares[size] = shares.get(size, 0.0) + bucket.share
    return tuple(Bucket(1, *size, share) for size, share in shares.items())


def _truth(text: str) -> bool:
    """Read true or false; raises ValueError for anything else."""
    if text.lower() not in ('true', 'false'):
        raise ValueError(text)
    return text.lower() == 'true'


_READERS = {bool: _truth}

# For tests and demonstrations on a CPU: the same parts, next to nothing of each.
TINY = ModelConfig(
    name='da3-tiny',
    embed_dim=64,
    depth=12,
    heads=1,
    out_layers=(5, 7, 9, 11),
    alt_start=4,
    qk_norm_start=4,
    rope_start=4,
    head_features=16,
    head_channels=(16, 16, 32, 32),
    camera_encoder_depth=1,
)
NETWORKS = {**PRESETS, 'tiny': TINY}
SHARES = (
    *('known_pose_share', 'compared_share', 'corrupted_share', 'curriculum'),
    *('ema', 'beta1', 'beta2', 'momentum', 'photograph_share'),
)


@dataclass(frozen=True)
class TrainConfig:
    """
    One training run.

    ``minutes`` is the whole plan, over all legs; the schedules follow elapsed / planned time, so
    that they land wherever the throughput is. With ``steps`` > 0 they follow steps instead, which
    makes a run reproducible.

    ``init`` names weights to start from, as ``load_model`` takes them ('': the prepared initial
    state). Such a run learns on: it wants a lower ``lr``, ``curriculum=0`` for the full range of
    motion at once, and a ``match_weight`` where the run before it ended (``final_match_weight``).

    ``corrupted_share`` of the windows have depth as bad sensors give it for their label, or, with
    ``teacher`` (weights as ``load_model`` takes them), what a teacher makes of it. ``monocular``
    trains such a teacher: single views, depth alone, at unit scale.

    ``textures`` is a folder of photographs (see ``scenes.photographs``) that are mixed with the
    painted textures: ``photograph_share`` of the surfaces that have colours of their own. Held-out
    scenes are painted alone.

    A network from scratch needs Muon, ``match_weight``, depth compared as a logarithm and
    gradients clipped by module. These, ``prepared_start``, a small ``camera_gain`` and the
    ``curriculum`` can be switched off, and docs/training.md says what each is worth.

    Raises:
        ConfigError: if a value is out of its range.

    """

    model: str = 'embedded'
    init: str = ''
    monocular: bool = False
    prepared_start: bool = True
    camera_gain: float = 0.05
    minutes: float = 20.0
    steps: int = 0
    seed: int = 0
    # data
    views_per_step: int = 192
    scenes: int = 4096
    new_scenes_per_step: float = 4.0
    texture_variants: int = 20
    texture_side: int = 256
    textures: str = ''
    photograph_share: float = 0.5
    samples_per_side: int = 1
    corrupted_share: float = 0.0
    teacher: str = ''
    known_pose_share: float = 0.2
    compared_share: float = 0.25
    curriculum: float = 0.5
    # optimiser
    lr: float = 8e-4
    warmup_steps: int = 500
    final_lr_share: float = 0.02
    matrices: str = 'muon'
    momentum: float = 0.95
    weight_decay: float = 0.05
    beta1: float = 0.9
    beta2: float = 0.95
    max_grad_norm: float = 1.0
    clipping: str = 'module'
    jump: float = 4.0
    ema: float = 0.999
    # losses
    depth_loss: str = 'log'
    depth_weight: float = 1.0
    gradient_weight: float = 1.0
    ray_weight: float = 1.0
    point_weight: float = 1.0
    camera_weight: float = 1.0
    centre_weight: float = 4.0
    rotation_weight: float = 4.0
    fov_weight: float = 2.0
    confidence_weight: float = 0.2
    match_weight: float = 0.3
    final_match_weight: float = 0.1
    # bookkeeping
    log_every_s: float = 2.0
    validate_every_s: float = 60.0
    save_every_s: float = 120.0
    validation_scenes: int = 32

    def __post_init__(self) -> None:
        """Refuse values that no run can have."""
        if self.model not in NETWORKS:
            raise ConfigError(f"model: expected one of {', '.join(NETWORKS)}, got '{self.model}'.")
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                known = ' or '.join(choices)
                raise ConfigError(f"{name}: expected {known}, got '{getattr(self, name)}'.")
        if self.teacher and not self.corrupted_share:
            raise ConfigError('teacher: has nothing to teach while corrupted_share is 0; set it.')
        positive = ('minutes', 'views_per_step', 'scenes', 'lr', 'texture_variants')
        for name in positive:
            if getattr(self, name) <= 0:
                raise ConfigError(f'{name}: expected more than 0, got {getattr(self, name)}.')
        for name in SHARES:
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f'{name}: expected [0, 1], got {getattr(self, name)}.')

    @property
    def network(self) -> ModelConfig:
        """The constants of the network that is trained."""
        return NETWORKS[self.model]

    @property
    def buckets(self) -> tuple[Bucket, ...]:
        """The shapes of the windows."""
        buckets = TINY_BUCKETS if self.model == 'tiny' else BUCKETS
        return single_view_buckets(buckets) if self.monocular else buckets

    def windows(self, bucket: Bucket) -> int:
        """Count the windows of a step; all buckets have the same number of pictures a step."""
        return max(1, round(self.views_per_step / bucket.views))

    def with_assignments(self, assignments: list[str]) -> 'TrainConfig':
        """
        Return a copy with ``NAME=VALUE`` texts applied.

        Raises:
            ConfigError: if a name does not exist or a value can't be read.

        """
        types = {f.name: type(getattr(self, f.name)) for f in fields(self)}
        values = {}
        for assignment in assignments:
            name, _, text = assignment.partition('=')
            if name not in types:
                raise ConfigError(f"--set: there is no '{name}'; known: {', '.join(types)}.")
            try:
                values[name] = _READERS.get(types[name], types[name])(text)
            except ValueError as error:
                raise ConfigError(
                    f"--set {name}: expected {types[name].__name__}, got '{text}'."
                ) from error
        return replace(self, **values)
