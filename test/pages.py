"""The project's pages, as the tests read them: links, anchors, and what a reader types."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
import re
import subprocess

ROOT = Path(__file__).parents[1]

_FENCE = re.compile(
    r'(?:^<!-- not run: (?P<reason>[^\n]+?) -->\n\n)?^```(?P<language>\S*)\n(?P<text>.*?)^```$',
    re.MULTILINE | re.DOTALL,
)
_LINK = re.compile(r'!?\[[^\]]*\]\(([^)\s]+)\)')
_HEADING = re.compile(r'^#+ +(.+?) *$', re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block; ``reason`` says why its commands are not run, or is empty."""

    page: Path
    line: int
    language: str
    text: str
    reason: str

    def __str__(self) -> str:
        """Return where it is."""
        return f'{self.page.relative_to(ROOT)}:{self.line}'

    def commands(self) -> Iterator[str]:
        """Yield its commands, those over several lines joined."""
        for line in self.text.replace('\\\n', ' ').splitlines():
            if line.strip() and not line.startswith('#'):
                yield line


def pages() -> list[Path]:
    """Return every Markdown file of the checkout."""
    listed = ['git', 'ls-files', '--cached', '--others', '--exclude-standard', '*.md']
    done = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True)
    names = done.stdout.splitlines() or _packed()
    return sorted(ROOT / name for name in names if (ROOT / name).is_file())


def _packed() -> list[str]:
    """Return the pages of sources without git, as colcon may have them."""
    found = [path for part in ('.', 'docs', 'benchmarks') for path in (ROOT / part).glob('*.md')]
    found += (ROOT / 'da3_ros').rglob('*.md')
    return [str(path.relative_to(ROOT)) for path in found]


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page."""
    text = page.read_text()
    return [
        Block(
            page, text.count('\n', 0, m.start('text')), m['language'], m['text'], m['reason'] or ''
        )
        for m in _FENCE.finditer(text)
    ]


def all_blocks() -> list[Block]:
    """Return the fenced blocks of all pages."""
    return [block for page in pages() for block in blocks(page)]


def shell_blocks() -> list[Block]:
    """Return all blocks for a shell."""
    return [block for block in all_blocks() if block.language == 'sh']


def links(page: Path) -> list[str]:
    """Return where a page's links go, without those to other sites and those in code."""
    prose = re.sub(r'`[^`\n]*`', '', _FENCE.sub('', page.read_text()))
    return [link for link in _LINK.findall(prose) if not re.match(r'[a-z]+:', link)]


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    headings = _HEADING.findall(_FENCE.sub('', page.read_text()))
    return {re.sub(r'[^\w\- ]', '', heading.lower()).replace(' ', '-') for heading in headings}


def broken_links(page: Path) -> list[str]:
    """Return the links of a page that lead nowhere."""
    broken = []
    for link in links(page):
        name, _, anchor = link.partition('#')
        target = (page.parent / name).resolve() if name else page
        is_there = target.is_file() and target.is_relative_to(ROOT.resolve())
        if not is_there or (anchor and anchor not in anchors(target)):
            broken.append(link)
    return broken


def launch_arguments(path: Path) -> set[str]:
    """Return the texts that are keys of dictionaries or first arguments in a launch file."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Dict):
            names |= {key.value for key in node.keys if isinstance(key, ast.Constant)}
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            names.add(str(node.args[0].value))
    return names


def documented_keys(command: str) -> set[str]:
    """Return the keys that docs/commands.md says the JSON of a command has."""
    page = (ROOT / 'docs' / 'commands.md').read_text()
    (keys,) = re.findall(rf'^\| `da3 {command} --json` \| (.+) \|$', page, re.MULTILINE)
    return set(re.findall(r'`(\w+)`', keys))
