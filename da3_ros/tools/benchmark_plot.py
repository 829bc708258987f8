"""Pictures of a benchmark: each score scene by scene, with what others report as lines."""

from collections.abc import Sequence
from pathlib import Path

from da3_ros.evaluation.published import published, SOURCE
from da3_ros.tools.benchmark_table import MEAN, means
import matplotlib

matplotlib.use('Agg')

import numpy as np  # noqa: E402

# What is drawn where it was measured: its name and the label of its axis.
_PANELS = {
    'auc3': 'AUC3',
    'auc30': 'AUC30',
    'delta1': 'delta1 of depth',
    'metric_delta1': 'delta1 of metres',
    'recon_unposed_f1': 'F1, predicted poses',
    'recon_posed_f1': 'F1, known poses',
    'recon_unposed_chamfer': 'Chamfer, predicted poses',
    'recon_posed_chamfer': 'Chamfer, known poses',
    'psnr': 'PSNR [dB]',
}
_MODELS = {'DA3-Giant': '-', 'DA3-Small': ':'}


def draw_benchmark(path: Path, results: Sequence[dict]) -> None:
    """Draw bars of all scenes and numbers of views, and dashes at the paper's means."""
    from matplotlib.figure import Figure

    rows = [row for row in means(results) if row['scene'] != MEAN]
    shown = [name for name in _PANELS if any(name in row for row in rows)]
    if not shown:
        return
    scenes = list(dict.fromkeys(row['scene'] for row in rows))
    views = sorted({row['views'] for row in rows})
    height = 2.2 * len(shown) + 0.8
    figure = Figure(
        figsize=(max(6.0, 0.5 * len(scenes) + 3), height), dpi=110, layout='constrained'
    )
    places = np.arange(len(scenes))
    others = published(results[0]['benchmark'])
    for panel, name in zip(np.ravel(figure.subplots(len(shown), 1)), shown, strict=True):
        for i, count in enumerate(views):
            value = {r['scene']: r.get(name, np.nan) for r in rows if r['views'] == count}
            values = np.array([value.get(scene, np.nan) for scene in scenes])
            values = np.where(np.isfinite(values), values, np.nan)
            width = 0.8 / len(views)
            panel.bar(places - 0.4 + (i + 0.5) * width, values, width, label=f'N = {count}')
        for model, style in _MODELS.items():
            if name in others.get(model, {}):
                label = f'{model} ({SOURCE})'
                panel.axhline(others[model][name], color='0.3', linestyle=style, label=label)
        panel.set(ylabel=_PANELS[name], xticks=places, xticklabels=[])
        panel.legend(fontsize=7)
    panel.set_xticklabels(scenes, rotation=60, ha='right', fontsize=7)
    figure.savefig(path)
