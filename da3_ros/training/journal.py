"""What a run says: a progress bar for people, one JSON object a line for programs."""

from collections.abc import Mapping
import json
from pathlib import Path

from tqdm import tqdm

BAR = '{l_bar}{bar}| {elapsed}<{remaining} {postfix}'


class Journal:
    """A progress bar over the whole plan and a log file that grows."""

    def __init__(self, path: Path | None, speaks: bool = True) -> None:
        """Append to ``path`` (None: no file); one that does not speak writes nothing at all."""
        self._file = None
        if path is not None and speaks:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open('a')
        self._speaks = speaks
        self._bar = tqdm(
            total=1.0, bar_format=BAR, mininterval=1.0, desc='train', disable=not speaks
        )

    def write(self, kind: str, progress: float, values: Mapping[str, float]) -> None:
        """Note numbers; ``kind`` 'train' goes into the bar, anything else stands on its line."""
        if not self._speaks:
            return
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
