"""
What others report on the benchmarks: the tables of the paper, and of the code's own page.

Numbers of Depth Anything 3 (arXiv 2511.10647v1, tables 2 and 3) in their units: areas and F1 as
shares, Chamfer distances of DTU in millimetres. Nothing here was measured by this package.
"""

SOURCE = 'paper'
_MODELS = ('VGGT', 'Pi3', 'DA3-Giant', 'DA3-Large', 'DA3-Base', 'DA3-Small')
# Of each of the models: AUC3, and AUC30 [%].
_POSE = {
    'hiroom': ((49.1, 67.0, 80.3, 58.7, 19.0, 9.49), (88.0, 94.8, 95.9, 94.2, 83.2, 75.2)),
    'eth3d': ((26.3, 35.2, 48.4, 32.2, 15.1, 8.59), (80.8, 87.3, 91.2, 86.9, 74.6, 62.1)),
    'dtu64': ((79.2, 62.5, 94.1, 70.2, 60.1, 30.6), (99.8, 94.9, 99.4, 96.7, 95.9, 91.2)),
    '7scenes': ((23.9, 25.5, 28.5, 29.2, 20.1, 14.0), (85.0, 86.3, 86.8, 86.6, 82.9, 78.7)),
    'scannetpp': ((62.6, 50.7, 85.0, 60.2, 25.1, 10.9), (95.1, 92.1, 98.1, 94.7, 83.4, 71.9)),
}
# F1 [%] of predicted, and of known poses; for DTU the Chamfer distance [mm].
_SURFACE = {
    'hiroom': ((56.7, 75.8, 85.1, 69.5, 25.9, 18.3), (70.2, 85.0, 95.6, 87.1, 71.4, 52.2)),
    'eth3d': ((57.2, 72.7, 79.0, 65.8, 49.5, 41.6), (66.7, 80.6, 87.1, 75.2, 66.7, 63.4)),
    'dtu': ((2.05, 3.28, 1.85, 2.08, 2.87, 5.83), (1.44, 1.72, 1.85, 1.23, 2.36, 2.49)),
    '7scenes': ((47.9, 44.2, 53.5, 56.3, 49.9, 41.0), (51.4, 57.5, 56.5, 49.2, 50.6, 46.8)),
    'scannetpp': ((66.4, 63.1, 77.0, 67.9, 47.2, 32.3), (70.7, 73.3, 79.3, 75.7, 67.8, 53.8)),
}


def published(dataset: str) -> dict[str, dict[str, float]]:
    """Return the scores of each model on a benchmark, under the names that ours have."""
    found: dict[str, dict[str, float]] = {model: {} for model in _MODELS}
    if dataset in _POSE:
        for name, column in zip(('auc3', 'auc30'), _POSE[dataset], strict=True):
            _put(found, name, column, 100)
    if dataset in _SURFACE:
        name, unit = ('chamfer', 1) if dataset == 'dtu' else ('f1', 100)
        for mode, column in zip(('unposed', 'posed'), _SURFACE[dataset], strict=True):
            _put(found, f'recon_{mode}_{name}', column, unit)
    return {model: scores for model, scores in found.items() if scores}


def _put(found: dict[str, dict[str, float]], name: str, column: tuple, unit: int) -> None:
    for model, value in zip(_MODELS, column, strict=True):
        found[model][name] = value / unit
