"""
The map: all keyframes, which of them see the same places, and the loops that were closed.

Keyframes are the nodes of a graph. Two that were in a window together and see the same surfaces
are linked; so are the two ends of a loop. A part of the map is what links connect; where tracking
was lost, another part begins, and a loop between two parts joins them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
import itertools

from da3_ros.engine.keyframes import Keyframe
from da3_ros.engine.places import PlaceIndex
from da3_ros.geometry.transforms import Sim3
import torch

# Links of a new keyframe, those that see most of it.
_LINKS = 5
# Keyframes that share less are not linked for what they share.
_MIN_LINK = 0.05


@dataclass(frozen=True, eq=False)
class Loop:
    """
    A place that was seen again: the keyframes ``first`` and ``second`` (keys) and how they lie.

    ``first_from_second`` is the similarity that takes what the second sees, in its own camera and
    unit, into the camera and the unit of the first.
    """

    first: int
    second: int
    first_from_second: Sim3

    def resized(self, first: float, second: float) -> 'Loop':
        """Return the loop after its keyframes' units have been multiplied by these factors."""
        was = self.first_from_second
        now = Sim3(was.scale * first / second, was.rotation, first * was.translation)
        return replace(self, first_from_second=now)


@dataclass(frozen=True)
class Change:
    """
    What a correction did to the map.

    ``log_size`` is the logarithm of what the newest keyframes were resized by, 0 where a part was
    ``joined``: that is its number, which is no more. ``notice`` says in a sentence what happened.
    """

    notice: str
    log_size: float = 0.0
    joined: int | None = None


class Map:
    """Keeps at most ``max_count`` keyframes, and gives up those first that others see best."""

    def __init__(self, max_count: int) -> None:
        """Make an empty map."""
        self._max_count = max_count
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._keyframes: dict[int, Keyframe] = {}
        self._links: dict[int, dict[int, float]] = {}
        self.loops: list[Loop] = []
        self.places = PlaceIndex()

    def __len__(self) -> int:
        """Return the number of keyframes."""
        return len(self._keyframes)

    def __iter__(self) -> Iterator[Keyframe]:
        """Iterate over the keyframes, oldest first."""
        return iter(self._keyframes.values())

    def __getitem__(self, key: int) -> Keyframe:
        """Return the keyframe whose view has this key."""
        return self._keyframes[key]

    def __contains__(self, key: int) -> bool:
        """Tell whether there is a keyframe of this key."""
        return key in self._keyframes

    def newest(self, count: int) -> list[Keyframe]:
        """Return the keyframes that were added last, the newest first."""
        return [self._keyframes[key] for key in itertools.islice(reversed(self._keyframes), count)]

    @property
    def parts(self) -> set[int]:
        """The numbers of its parts."""
        return {k.part for k in self}

    def add(
        self,
        keyframe: Keyframe,
        descriptor: torch.Tensor,
        overlaps: Iterable[tuple[Keyframe, float]],
        in_use: Iterable[Keyframe] = (),
    ) -> None:
        """
        Add a keyframe, and forget others while there are too many that are not in use.

        Args:
            keyframe: What is added.
            descriptor: Of its place, unit length (C,).
            overlaps: Other keyframes, and the share of the new one that each sees.
            in_use: Keyframes that must stay.

        """
        key = keyframe.view.key
        self._keyframes[key] = keyframe
        self._links[key] = {}
        self.places.add(key, descriptor)
        seen = sorted((pair for pair in overlaps), key=lambda pair: -pair[1])
        for rank, (other, overlap) in enumerate(seen[:_LINKS]):
            # One link at least: a part is what links connect.
            if other.part == keyframe.part and (overlap >= _MIN_LINK or rank == 0):
                self.link(keyframe, other, max(overlap, _MIN_LINK))
        needed = {key, *(k.view.key for k in in_use)}
        while len(self) > self._max_count and not self._keyframes.keys() <= needed:
            self._forget_one(needed)

    def link(self, a: Keyframe, b: Keyframe, overlap: float) -> None:
        """Note that two keyframes see the same surfaces, and how much of them."""
        self._links[a.view.key][b.view.key] = overlap
        self._links[b.view.key][a.view.key] = overlap

    def links(self) -> list[tuple[int, int, float]]:
        """Return all links, each once: two keys, the lower one first, and the overlap."""
        return [
            (a, b, overlap)
            for a, others in self._links.items()
            for b, overlap in others.items()
            if a < b
        ]

    def neighbours(self, keyframe: Keyframe) -> list[Keyframe]:
        """Return the keyframes that a keyframe is linked to, those that share most first."""
        others = self._links[keyframe.view.key]
        return [self._keyframes[key] for key in sorted(others, key=lambda key: -others[key])]

    def around(self, keyframe: Keyframe, links: int) -> set[int]:
        """Return the keys of all that can be reached from a keyframe over so many links."""
        reached = edge = {keyframe.view.key}
        for _ in range(links):
            edge = {other for key in edge for other in self._links[key]} - reached
            reached = reached | edge
        return reached

    def move(self, now_from_then: Mapping[int, Sim3]) -> None:
        """
        Take a correction, by the keys of the keyframes that it was computed for.

        One that came later goes with the keyframe that it shares most with.
        """
        moved = dict(now_from_then)
        for key, keyframe in self._keyframes.items():  # a later one comes after those it links to
            if key not in moved:
                known = [k for k in self.neighbours(keyframe) if k.view.key in moved]
                moved[key] = moved[known[0].view.key] if known else Sim3.identity()
            keyframe.move(moved[key])
        self._resize_loops({key: by.scale for key, by in moved.items()})

    def join(self, stays: int, moves: int, stays_from_moves: Sim3) -> None:
        """Make one part of two: that with the number ``moves`` is taken to where it belongs."""
        moved = [k for k in self if k.part == moves]
        for keyframe in moved:
            keyframe.move(stays_from_moves)
            keyframe.part = stays
        self._resize_loops({k.view.key: stays_from_moves.scale for k in moved})

    def forget_part(self, part: int) -> None:
        """Forget all keyframes of a part."""
        for key in [k.view.key for k in self if k.part == part]:
            self._remove(key)

    def _resize_loops(self, sizes: Mapping[int, float]) -> None:
        """Keep loops as large as their keyframes, which have been resized by these factors."""
        self.loops = [
            loop.resized(sizes.get(loop.first, 1.0), sizes.get(loop.second, 1.0))
            for loop in self.loops
        ]

    def _forget_one(self, in_use: set[int]) -> None:
        """Forget the keyframe that another one sees best, the oldest of equal ones."""
        best = max(
            (key for key in self._keyframes if key not in in_use),
            key=lambda key: max(self._links[key].values(), default=0.0),
        )
        heirs: Sequence[Keyframe] = self.neighbours(self._keyframes[best])
        for other in heirs[1:]:
            if other.view.key not in self._links[heirs[0].view.key]:
                share = self._links[best][heirs[0].view.key] * self._links[best][other.view.key]
                self.link(heirs[0], other, share)
        self._remove(best)

    def _remove(self, key: int) -> None:
        for other in self._links.pop(key):
            del self._links[other][key]
        del self._keyframes[key]
        self.places.remove(key)
        self.loops = [loop for loop in self.loops if key not in (loop.first, loop.second)]
