"""The official sets of weights: their Hugging Face ids, networks and licences."""

from dataclasses import dataclass

from da3_ros.model.presets import (
    BASE,
    EMBEDDED,
    GIANT,
    LARGE,
    METRIC,
    MONO,
    NESTED,
    NetworkConfig,
    SMALL,
)

APACHE = 'Apache-2.0'
NON_COMMERCIAL = 'CC-BY-NC-4.0'


@dataclass(frozen=True)
class Release:
    """A set of official weights: its network and its licence (SPDX)."""

    config: NetworkConfig
    licence: str


RELEASES: dict[str, Release] = {
    'depth-anything/DA3-SMALL': Release(SMALL, APACHE),
    'depth-anything/DA3-BASE': Release(BASE, APACHE),
    'depth-anything/DA3-LARGE': Release(LARGE, NON_COMMERCIAL),
    'depth-anything/DA3-LARGE-1.1': Release(LARGE, NON_COMMERCIAL),
    'depth-anything/DA3-GIANT': Release(GIANT, NON_COMMERCIAL),
    'depth-anything/DA3-GIANT-1.1': Release(GIANT, NON_COMMERCIAL),
    'depth-anything/DA3MONO-LARGE': Release(MONO, APACHE),
    'depth-anything/DA3METRIC-LARGE': Release(METRIC, APACHE),
    'depth-anything/DA3NESTED-GIANT-LARGE': Release(NESTED, NON_COMMERCIAL),
    'depth-anything/DA3NESTED-GIANT-LARGE-1.1': Release(NESTED, NON_COMMERCIAL),
}
"""Hugging Face id -> network and licence, as the official model cards list them."""

LICENCES: dict[str, str] = {EMBEDDED.name: APACHE} | {
    release.config.name: release.licence for release in RELEASES.values()
}
"""Name in config.json -> licence of the official weights of that name."""
