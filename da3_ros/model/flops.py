"""
How many floating-point operations the parts of an any-view network take, by its constants.

One multiplication and one addition are two. Matrix products, convolutions and attention count;
norms, softmax, activations and resampling do not. As in the tables that others publish.

Shapes: V views of a window, v with depth, N tokens and P patches of a view, C channels.
"""

from dataclasses import dataclass

from da3_ros.model.dpt_head import OUTPUT_FEATURES
from da3_ros.model.presets import ModelConfig


@dataclass(frozen=True)
class FlopCounter:
    """Counts for one network and one patch grid (rows, columns)."""

    config: ModelConfig
    grid: tuple[int, int]

    @property
    def patches(self) -> int:
        """P."""
        return self.grid[0] * self.grid[1]

    @property
    def tokens(self) -> int:
        """N."""
        return self.patches + 1

    def prefix(self, views: int) -> float:
        """Everything that sees one view only: patches and the blocks before the roles."""
        config = self.config
        embedding = 2 * self.patches * 3 * config.patch_size**2 * config.embed_dim
        return views * (embedding + config.alt_start * self._block(self.tokens))

    def enter(self, views: int) -> float:
        """Count what is left for each view after its role is known and before views mix."""
        return views * (self._first_global - self.config.alt_start) * self._block(self.tokens)

    def mix(self, views: int, dense: int) -> float:
        """Count the blocks that mix views, for the depth of ``dense`` views and all cameras."""
        last = self.config.out_layers[-1]
        indices = range(self._first_global, last)
        mixing = sum(i % 2 for i in indices)
        own = len(indices) - mixing
        total = views * self.tokens
        asked = views + dense * self.patches
        return (
            views * own * self._block(self.tokens)
            + mixing * self._block(total)
            + self._block(total, asked)
        )

    def window(self, views: int) -> float:
        """Count the trunk over a window with nothing kept and nothing left out."""
        mixing = sum(i % 2 for i in range(self.config.alt_start, self.config.depth))
        own = self.config.depth - self.config.alt_start - mixing
        return (
            self.prefix(views)
            + views * own * self._block(self.tokens)
            + mixing * self._block(views * self.tokens)
        )

    def cameras(self, views: int) -> float:
        """Count the camera decoder."""
        dim = self.config.tap_dim
        return views * 2 * dim * (2 * dim + 3 + 4 + 2)

    def depth(self, views: int) -> float:
        """Count the dense head without its ray branch."""
        return views * (self._pyramid() + self._depth_branch())

    @property
    def _first_global(self) -> int:
        return self.config.alt_start | 1

    def _block(self, tokens: int, asked: int | None = None) -> float:
        """One block over a sequence of tokens, of which ``asked`` (None: all) are computed."""
        dim, asked = self.config.embed_dim, tokens if asked is None else asked
        keys = 4 * tokens * dim**2
        rest = 4 * asked * dim**2  # queries and the projection
        attention = 4 * asked * tokens * dim
        matrices = 2 if self.config.ffn == 'mlp' else 3
        return keys + rest + attention + 2 * matrices * asked * dim * self.config.ffn_dim

    def _levels(self) -> list[int]:
        """Pixels of the four levels of the pyramid, finest first."""
        rows, columns = self.grid
        coarsest = ((rows + 1) // 2) * ((columns + 1) // 2)
        return [16 * self.patches, 4 * self.patches, self.patches, coarsest]

    def _pyramid(self) -> float:
        config, sizes = self.config, self._levels()
        channels, features = config.head_channels, config.head_features
        projects = sum(2 * self.patches * config.tap_dim * c for c in channels)
        resizers = (
            2 * self.patches * 16 * channels[0] ** 2
            + 2 * self.patches * 4 * channels[1] ** 2
            + 18 * sizes[3] * channels[3] ** 2
        )
        laterals = sum(18 * s * c * features for s, c in zip(sizes, channels, strict=True))
        return projects + resizers + laterals

    def _depth_branch(self) -> float:
        features, half = self.config.head_features, self.config.head_features // 2
        sizes = self._levels()
        finest = 4 * sizes[0]
        units = 2 * 18 * features**2  # two 3x3 convolutions for each pixel
        fusions = units * (2 * sum(sizes[:3]) + sizes[3])
        fusions += sum(2 * s * features**2 for s in sizes)
        pixels = self.patches * self.config.patch_size**2
        neck = 18 * finest * features * half
        return fusions + neck + pixels * OUTPUT_FEATURES * (18 * half + 4)
