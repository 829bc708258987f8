"""What a run says: a progress bar for people, one JSON object a line for programs."""

from collections.abc import Mapping
import json
from pathlib import Path

from tqdm import tqdm

BAR = '{l_bar}{bar}| {elapsed}<{remaining} {postfix}'


class Journal:
    """A progress bar over the whole plan and a log file that grows."""

    def __init__(self, path: Path | None, progress: float = 0.0) -> None:
        """Append to ``path`` (None: no file); the bar starts at ``progress`` of the plan."""
        self._file = None
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open('a')
        self._bar = tqdm(
            total=1.0, initial=round(progress, 4), bar_format=BAR, mininterval=1.0, desc='train'
        )

    def write(self, kind: str, progress: float, values: Mapping[str, float]) -> None:
        """Note numbers; ``kind`` 'train' goes into the bar, anything else stands on its line."""
        rounded = {name: float(f'{value:.4g}') for name, value in values.items()}
        if self._file is not None:
            entry = {'kind': kind, 'progress': round(progress, 5), **rounded}
            self._file.write(json.dumps(entry) + '\n')
            self._file.flush()
        self._bar.update(round(progress, 4) - self._bar.n)
        text = ' '.join(f'{name} {value:g}' for name, value in rounded.items())
        if kind == 'train':
            self._bar.set_postfix_str(text)
        else:
            self._bar.write(f'{kind} {text}')

    def close(self) -> None:
        """Close the bar and the file."""
        self._bar.close()
        if self._file is not None:
            self._file.close()
