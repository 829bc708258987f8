"""The table that ``da3 bench`` prints, in Markdown."""

from da3_ros.tools.bench_measure import Row, STAGES

_COLUMNS = (
    *('model', 'views', 'new', 'depth', 'size', 'runner', 'pre', 'prefix', 'role', 'mix'),
    *('heads', 'rest', 'total ms', 'TFLOP', 'limit ms', 'share', 'GiB', 'ratio'),
)
_WIDTHS = tuple(max(len(name), 8) for name in _COLUMNS)


def heading() -> str:
    """Return the first two lines."""
    rule = '|'.join('-' * (width + 2) for width in _WIDTHS)
    return f'{_joined(_COLUMNS)}\n|{rule}|'


def line(row: Row) -> str:
    """
    Return the line of one row.

    ``pre`` is not part of the total; ``rest`` is the total less the stages, which overlap when
    they need not be waited for: it may be negative.
    """
    case, stages = row.case, row.stages_ms
    rest = row.total_ms - sum(stages.values()) if stages else None
    return _joined(
        (
            case.model,
            str(case.views),
            str(case.new),
            str(case.views if row.runner in ('official', 'eager') else len(case.dense_views)),
            f'{case.width}x{case.height}',
            row.runner,
            _number(row.preprocess_ms or None),
            *(_number(stages.get(name)) for name in STAGES),
            _number(rest),
            _number(row.total_ms),
            _number(row.tflop),
            _number(row.limit_ms),
            f'{100 * row.limit_ms / row.total_ms:.0f} %',
            _number(row.memory_gib or None),
            f'{row.ratio:.2f}',
        )
    )


def _number(value: float | None) -> str:
    """Return three digits, or nothing."""
    if value is None:
        return ''
    return f'{value:.0f}' if abs(value) >= 100 else f'{value:.3g}'


def _joined(cells: tuple[str, ...]) -> str:
    padded = (cell.rjust(width) for cell, width in zip(cells, _WIDTHS, strict=True))
    return f'| {" | ".join(padded)} |'
