"""
Textures photographed: pictures from a folder, and their mixture with painted ones.

A folder holds PNG and JPEG files of any size. Files in a sub-folder that is named after a role
(wall, floor, ceiling, object, cloth, door, picture, facade, ground, bark, leaves) play that role
alone; files in the folder itself play all of `EVERYWHERE`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
from da3_ros.errors import InputError
from da3_ros.training.scenes.catalogue import TextureSource
import numpy as np
import torch

EVERYWHERE = ('wall', 'floor', 'object', 'cloth')
ROLES = (*EVERYWHERE, 'ceiling', 'door', 'picture', 'facade', 'ground', 'bark', 'leaves')
SUFFIXES = ('.png', '.jpg', '.jpeg')
# Few photographs are not shown more often than this, whatever their share.
MOST_REPEATED = 4


def _read(path: Path) -> np.ndarray:
    """Picture (H, W, 3) uint8, red first. Raises `InputError`."""
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise InputError(f'Texture {path} cannot be read: {error.strerror}.') from error
    picture = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if picture is None:
        raise InputError(f'Texture {path} is no whole PNG or JPEG picture; repair or remove it.')
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def _square(picture: np.ndarray, side: int) -> np.ndarray:
    """Middle square of (H, W, 3), resized to (side, side, 3)."""
    height, width = picture.shape[:2]
    least = min(height, width)
    top, left = (height - least) // 2, (width - least) // 2
    middle = picture[top : top + least, left : left + least]
    shrinks = least > side
    return cv2.resize(
        middle, (side, side), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )


def _roles_of(path: Path, folder: Path) -> tuple[str, ...]:
    """Roles of one file, by the sub-folder of `folder` that it lies in. Raises `InputError`."""
    parts = path.relative_to(folder).parts
    if len(parts) == 1:
        return EVERYWHERE
    if parts[0] not in ROLES:
        raise InputError(
            f"Texture folder {folder} has a sub-folder '{parts[0]}', which is no role; name it "
            f'one of {", ".join(ROLES)}.'
        )
    return (parts[0],)


@dataclass(frozen=True)
class FolderTextures:
    """
    Photographs, numbered in the order of their names; use `open`.

    `files` are their paths and `roles` what each of them may play. Only paths are kept, so that
    a source travels to other processes, which read the pictures that they need.
    """

    files: tuple[Path, ...]
    roles: tuple[tuple[str, ...], ...]

    @classmethod
    def open(cls, folder: Path | str) -> FolderTextures:
        """
        Find all pictures in `folder` and its sub-folders, and read each once.

        Raises `InputError` where there is no folder or no picture, where a sub-folder is no role
        and where a picture is damaged.
        """
        folder = Path(folder)
        if not folder.is_dir():
            raise InputError(f'There is no texture folder {folder}; give one that exists.')
        found = sorted(p for p in folder.rglob('*') if p.suffix.lower() in SUFFIXES)
        if not found:
            raise InputError(f'Texture folder {folder} holds no PNG or JPEG file; put some there.')
        roles = tuple(_roles_of(path, folder) for path in found)
        for path in found:
            _read(path)
        return cls(tuple(found), roles)

    def __len__(self) -> int:
        return len(self.files)

    def with_role(self, role: str) -> Sequence[int]:
        """Numbers of the photographs fit for `role`; may be empty."""
        return self._by_role.get(role, ())

    def images(self, numbers: Sequence[int], side: int) -> torch.Tensor:
        """Linear albedo (N, 3, side, side) in [0, 1]. Raises `InputError` for damaged files."""
        pictures = np.stack([_square(_read(self.files[number]), side) for number in numbers])
        display = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
        return display.pow(2.2)

    @cached_property
    def _by_role(self) -> dict[str, list[int]]:
        numbers: dict[str, list[int]] = {}
        for number, roles in enumerate(self.roles):
            for role in roles:
                numbers.setdefault(role, []).append(number)
        return numbers


@dataclass(frozen=True)
class MixedTextures:
    """
    Painted textures and photographs under one numbering, painted ones first.

    Where photographs can play a role, about `share` of the choices for it are photographs, or
    less where there are few.
    """

    painted: TextureSource
    photographs: FolderTextures
    share: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise InputError(
                f'The share of photographs must be between 0 and 1, got {self.share}.'
            )

    def __len__(self) -> int:
        return len(self.painted) + len(self.photographs)

    def with_role(self, role: str) -> Sequence[int]:
        """Numbers fit for `role`; a photograph's is repeated as often as its share needs."""
        if role not in self._by_role:
            painted = list(self.painted.with_role(role))
            own = [len(self.painted) + number for number in self.photographs.with_role(role)]
            if own:
                wanted = self.share / (1 - self.share) * len(painted)
                own = own * min(MOST_REPEATED, max(1, round(wanted / len(own))))
            self._by_role[role] = painted + own
        return self._by_role[role]

    def images(self, numbers: Sequence[int], side: int) -> torch.Tensor:
        """Linear albedo (N, 3, side, side) in [0, 1] of textures by number."""
        first = len(self.painted)
        parts = [
            self.painted.images([number], side)
            if number < first
            else self.photographs.images([number - first], side)
            for number in numbers
        ]
        return torch.cat(parts)

    @cached_property
    def _by_role(self) -> dict[str, list[int]]:
        return {}
