"""
Write the README's table of parameters from the configuration tree.

    python docs/parameters.py           rewrite the table in README.md
    python docs/parameters.py --check   exit with 1 if the table is not what the tree says
"""

from collections.abc import Iterator
from pathlib import Path
import sys

from da3_ros.config import NodeConfig
from da3_ros.parameter_tree import leaves

README = Path(__file__).parent.parent / 'README.md'
BEGIN, END = '<!-- parameters: make docs -->\n', '<!-- end of parameters -->\n'


def rows() -> Iterator[str]:
    """Yield the table's lines, in Markdown."""
    yield '| parameter | default | | may change live |\n'
    yield '|---|---|---|---|\n'
    for name, field, value in leaves(NodeConfig()):
        shown = list(value) if isinstance(value, tuple) else value
        text = str(shown).lower() if isinstance(shown, bool) else repr(shown)
        live = '' if field.metadata['read_only'] else 'yes'
        yield f'| `{name}` | `{text}` | {field.metadata["description"]} | {live} |\n'


def with_table(readme: str) -> str:
    """Return the text with the table between its two markers replaced."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + '\n' + ''.join(rows()) + '\n' + END + after


def main() -> int:
    """Rewrite or check the README."""
    old = README.read_text()
    new = with_table(old)
    if '--check' in sys.argv[1:]:
        return int(old != new)
    README.write_text(new)
    return 0


if __name__ == '__main__':
    sys.exit(main())
