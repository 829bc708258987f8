"""The table of a benchmark: its scenes, their mean, and beside it what others report."""

from collections.abc import Sequence

from da3_ros.evaluation.published import published, SOURCE
from da3_ros.tools.text_table import text_table
import numpy as np

_COLUMNS = {
    'auc3': 'AUC3',
    'auc5': 'AUC5',
    'auc15': 'AUC15',
    'auc30': 'AUC30',
    'abs_rel': 'AbsRel',
    'delta1': 'delta1',
    'metric_abs_rel': 'AbsRel m',
    'metric_delta1': 'delta1 m',
    'recon_unposed_f1': 'F1',
    'recon_unposed_chamfer': 'Chamfer',
    'recon_posed_f1': 'F1 posed',
    'recon_posed_chamfer': 'Ch posed',
    'psnr': 'PSNR',
    'ssim': 'SSIM',
}
_HEAD = ('benchmark', 'model', 'scene', 'N')
MEAN = 'mean'


def means(results: Sequence[dict]) -> list[dict]:
    """
    Return the rows of a table: each scene's mean over its windows, then the mean of the scenes.

    A score that a scene lacks does not count; infinite ones make the mean infinite.
    """
    rows = []
    for views in sorted({result['views'] for result in results}):
        here = [result for result in results if result['views'] == views]
        head = {key: here[0][key] for key in ('benchmark', 'model', 'views')}
        scenes = list(dict.fromkeys(result['scene'] for result in here))
        of_scenes = []
        for scene in scenes:
            windows = [result for result in here if result['scene'] == scene]
            of_scenes.append({**head, 'scene': scene, **_mean(windows)})
        rows.extend(of_scenes)
        if len(scenes) > 1:
            rows.append({**head, 'scene': MEAN, **_mean(of_scenes)})
    return rows


def _mean(rows: Sequence[dict]) -> dict[str, float]:
    """Return the means of the scores that the rows have."""
    names = dict.fromkeys(name for row in rows for name in row if isinstance(row[name], float))
    return {name: float(np.mean([r[name] for r in rows if name in r])) for name in names}


def benchmark_table(results: Sequence[dict]) -> str:
    """Return the text: one line a scene, their mean, and the published ones as 'paper'."""
    rows = means(results)
    others = [
        {'benchmark': results[0]['benchmark'], 'model': model, 'scene': SOURCE, **scores}
        for model, scores in published(results[0]['benchmark']).items()
    ]
    shown = [name for name in _COLUMNS if any(name in row for row in rows)]
    others = [row for row in others if any(name in row for name in shown)]
    lines = [[*_HEAD, *(_COLUMNS[name] for name in shown)]]
    for row in (*rows, *others):
        head = [row['benchmark'], row['model'], row['scene'], str(row.get('views', '-'))]
        lines.append([*head, *(_text(row.get(name)) for name in shown)])
    return text_table(lines, left=len(_HEAD) - 1)


def _text(value: float | None) -> str:
    return '-' if value is None else f'{value:.3f}'
