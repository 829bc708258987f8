"""The README says what the code says."""

from pathlib import Path
import re
import subprocess
import sys

from da3_ros.config import NodeConfig
from da3_ros.parameter_tree import leaves

ROOT = Path(__file__).parents[2]
README = (ROOT / 'README.md').read_text()


def test_parameter_table_is_the_configuration_tree() -> None:
    command = [sys.executable, str(ROOT / 'docs' / 'parameters.py'), '--check']
    assert subprocess.run(command).returncode == 0, "run 'make docs'"
    assert all(f'| `{name}` |' in README for name, _, _ in leaves(NodeConfig()))


def test_linked_files_exist() -> None:
    links = re.findall(r'\]\((?!https?:|#)([^)]+)\)', README)
    assert links
    assert not [link for link in links if not (ROOT / link.split('#')[0]).exists()]


def test_make_targets_exist() -> None:
    targets = set(re.findall(r'^([a-z]+):', (ROOT / 'Makefile').read_text(), re.MULTILINE))
    assert set(re.findall(r'`make ([a-z]+)`', README)) <= targets
