"""The pages lead somewhere, quote what the code says, and their commands could be run."""

import ast
from collections.abc import Iterator
import inspect
import pkgutil
import re
import shlex
import subprocess

import da3_ros
from da3_ros.config import NodeConfig
from da3_ros.parameter_tree import leaves, replaced
from da3_ros.tools.main import parsers
import numpy as np
from pages import (
    all_blocks,
    Block,
    broken_links,
    launch_arguments,
    links,
    pages,
    ROOT,
    shell_blocks,
)
import pytest
import yaml

PARAMETERS = {name for name, _, _ in leaves(NodeConfig())} | {'use_sim_time'}
CMAKE = (ROOT / 'CMakeLists.txt').read_text()
# What stands at the beginning of commands that are not checked any further.
FOREIGN = {
    *('.', '#', 'cd', 'colcon', 'docker', 'echo', 'export', 'fastdds', 'git', 'hf', 'make'),
    *('mkdir', 'pip', 'rosdep', 'torchrun'),
}
ROS2_VERBS = {'bag', 'lifecycle', 'node', 'security', 'service', 'topic'}


def test_links_and_anchors_lead_somewhere() -> None:
    assert sum(len(links(page)) for page in pages()) > 50
    broken = {str(page.relative_to(ROOT)): broken_links(page) for page in pages()}
    assert {page: found for page, found in broken.items() if found} == {}


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('# A\n[a](#a) [b](b.md) [b](b.md#two-words-1-x)\n', []),
        ('# A\n[a](#b) [c](c.md) [b](b.md#three)\n', ['#b', 'c.md', 'b.md#three']),
        ('`[a](c.md)` [out](https://example.invalid/c.md)\n', []),
        ('```text\n[a](c.md)\n# Heading\n```\n[h](#heading)\n', ['#heading']),
    ],
)
def test_a_broken_link_is_found(text: str, expected: list[str], tmp_path, monkeypatch) -> None:
    monkeypatch.setattr('pages.ROOT', tmp_path)
    (tmp_path / 'b.md').write_text('## Two *words*: `1` x\n')
    (tmp_path / 'a.md').write_text(text)
    assert broken_links(tmp_path / 'a.md') == expected


def test_every_page_has_a_link_to_it() -> None:
    reached = {
        (page.parent / link.split('#')[0]).resolve() for page in pages() for link in links(page)
    }
    own = {ROOT / 'README.md', ROOT / 'docs/index.md', ROOT / 'docs/api.md'}  # where all begins
    assert {page for page in pages() if page.resolve() not in reached} <= own
    index = (ROOT / 'docs' / 'index.md').read_text().splitlines()
    listed = {(ROOT / 'docs' / f'{line}.md').resolve() for line in index if line}
    assert {page.resolve() for page in pages()} - listed <= {(ROOT / 'docs/index.md').resolve()}


def test_every_block_says_what_it_is() -> None:
    known = {'sh', 'yaml', 'text', 'python', '{toctree}', '{eval-rst}'}
    assert [str(block) for block in all_blocks() if block.language not in known] == []


@pytest.mark.parametrize('block', shell_blocks(), ids=str)
def test_commands_could_be_run(block: Block) -> None:
    """Syntax, options, names of files, launch arguments and parameters, of those not run too."""
    text = re.sub(r'<[a-z ]+>', 'it', block.text)  # what the reader fills in
    checked = subprocess.run(['bash', '-n'], input=text, text=True, capture_output=True)
    assert checked.returncode == 0, checked.stderr
    for command in block.commands():
        for part in re.split(r'&&|\|| ; ', re.sub(r'<[a-z ]+>', 'it', command)):
            check(shlex.split(part.partition(' > ')[0], comments=True))


@pytest.mark.parametrize(
    ('command', 'error'),
    [
        ('da3 infer in --output out --not-an-option', 'not-an-option'),
        ('da3 infer in', 'output'),
        ('da3 infer in --output out --set keyframe.overlap=1', 'keyframe.overlap'),
        ('ros2 launch da3_ros da3.launch.py picture:=/image', 'picture'),
        ('ros2 launch da3_ros no.launch.py', 'no.launch.py'),
        ('ros2 run da3_ros da3_node --ros-args -p windows.size:=3', 'windows.size'),
        ('ros2 run da3_ros node', 'node'),
        ('python docs/parameter.py', 'parameter.py'),
        ('python -m benchmarks.maps', 'maps'),
        ('make demos', 'demos'),
        ('frobnicate', 'frobnicate'),
    ],
)
def test_a_wrong_command_is_found(command: str, error: str, capsys) -> None:
    with pytest.raises((AssertionError, SystemExit)) as caught:
        check(shlex.split(command))
    assert error in str(caught.value) + capsys.readouterr().err


def check(words: list[str]) -> None:
    """Fail where a command could not be run as it is written."""
    while words and re.fullmatch(r'[A-Z_]+=\S*', words[0]):  # the environment of one command
        words = words[1:]
    if not words:
        return
    program, arguments = words[0], words[1:]
    if program == 'da3':
        check_da3(arguments)
    elif program == 'ros2':
        check_ros2(arguments)
    elif program == 'python' and arguments[0] == '-m' and arguments[1] != 'pytest':
        assert (ROOT / (arguments[1].replace('.', '/') + '.py')).is_file(), arguments[1]
    elif program.startswith('python') and arguments[0] not in ('-c', '-m'):
        assert (ROOT / arguments[0]).is_file(), arguments[0]
    elif program == 'make':
        targets = re.findall(r'^([a-z]+):', (ROOT / 'Makefile').read_text(), re.MULTILINE)
        assert set(arguments) <= set(targets), arguments
    else:
        assert program in FOREIGN or program.startswith('python'), program


def check_da3(arguments: list[str]) -> None:
    """Let the command's own parser judge; parameters of --set have to be there too."""
    if arguments and arguments[0] in ('--help', '--version', 'COMMAND') or '...' in arguments:
        return
    if '--help' in arguments[1:]:
        arguments = [a for a in arguments if a != '--help']
        assert arguments[0] in parsers(), arguments[0]
        return
    assert arguments[0] in parsers(), arguments[0]
    parsed = parsers()[arguments[0]].parse_args(arguments[1:])
    if arguments[0] != 'train':
        for assignment in getattr(parsed, 'assignments', []):
            name = assignment.partition('=')[0]
            assert name in PARAMETERS, name


def check_ros2(arguments: list[str]) -> None:
    """Check what concerns this package: its launch files, executables and parameters."""
    verb = arguments[0]
    if verb == 'launch':
        assert arguments[1] == 'da3_ros', arguments[1]
        path = ROOT / 'launch' / arguments[2]
        assert path.is_file(), arguments[2]
        names = launch_arguments(path)
        for argument in arguments[3:]:
            name = argument.partition(':=')[0]
            assert name in names or argument == '--show-args', name
    elif verb == 'run':
        executables = re.findall(r'^  install_executable\((\w+)', CMAKE, re.MULTILINE)
        assert arguments[1] == 'da3_ros' and arguments[2] in executables, arguments[2]
        for option, value in zip(arguments[3:], arguments[4:]):
            if option == '-p':
                assert value.partition(':=')[0] in PARAMETERS, value
    else:
        assert verb in ROS2_VERBS | {'pkg'}, verb


@pytest.mark.parametrize('block', [b for b in all_blocks() if b.language == 'yaml'], ids=str)
def test_parameter_files_are_ones(block: Block) -> None:
    (parameters,) = (node['ros__parameters'] for node in yaml.safe_load(block.text).values())
    overrides = parameters.pop('qos_overrides', {})
    policies = {p for ends in overrides.values() for end in ends.values() for p in end}
    assert policies <= {'reliability', 'durability', 'history', 'depth'}
    replaced(NodeConfig(), dict(flat(parameters)))


def flat(tree: dict, above: str = '') -> Iterator[tuple[str, object]]:
    """Yield the leaves of a tree of parameters by their dotted names."""
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from flat(value, f'{above}{name}.')
        else:
            yield f'{above}{name}', value


@pytest.mark.parametrize('block', [b for b in all_blocks() if b.language == 'python'], ids=str)
def test_python_runs(block: Block) -> None:
    rng = np.random.default_rng(0)
    pictures = [(i * 10**8, rng.integers(0, 256, (42, 56, 3), np.uint8)) for i in range(2)]
    names = {'pictures': pictures}
    exec(block.text, names)
    assert names['view'].depth_m.shape == names['view'].confidence.shape


def test_quoted_messages_are_those_of_the_code() -> None:
    """Those of the first column of tables of messages, in docs/troubleshooting.md."""
    page = (ROOT / 'docs' / 'troubleshooting.md').read_text()
    sources = ' '.join(path.read_text() for path in (ROOT / 'da3_ros').rglob('*.py'))
    sources = re.sub(r"""['"]\s+f?['"]""", '', sources)  # texts over several lines
    tables = re.findall(r'^\| (?:message|the sentence has) \|[^\n]*\n((?:\|.*\n)+)', page, re.M)
    quoted = [q for table in tables for row in table.splitlines() for q in quotes(row)]
    assert len(quoted) > 9
    missing = [q for q in quoted if not all(part in sources for part in q.split('…'))]
    assert missing == []


def quotes(row: str) -> list[str]:
    """Return what stands in backticks in the first cell of a row."""
    return re.findall(r'`([^`]+)`', row.split('|')[1])


def test_parameters_that_pages_name_exist() -> None:
    groups = {name.partition('.')[0] for name in PARAMETERS if '.' in name}
    wrong = []
    for page in pages():
        for name in re.findall(r'`((?:%s)\.[a-z_]+)' % '|'.join(sorted(groups)), page.read_text()):
            is_file = name.endswith(('.py', '.yaml', '.md', '.png'))
            if not is_file and name not in PARAMETERS:
                wrong.append(f'{page.name}: {name}')
    assert wrong == []


def public() -> Iterator[tuple[str, ast.AST]]:
    """Yield every public module, class, function and method of the package, by name."""
    for found in pkgutil.walk_packages(da3_ros.__path__, 'da3_ros.'):
        path = ROOT / (found.name.replace('.', '/') + ('/__init__.py' if found.ispkg else '.py'))
        if path.is_file():  # messages are generated elsewhere
            tree = ast.parse(path.read_text())
            yield found.name, tree
            yield from definitions(found.name, tree)


def definitions(name: str, parent: ast.Module | ast.ClassDef) -> Iterator[tuple[str, ast.AST]]:
    """Yield what is defined in a module or class for others."""
    for node in parent.body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and node.name[0] != '_':
            yield f'{name}.{node.name}', node
            if isinstance(node, ast.ClassDef):
                yield from definitions(f'{name}.{node.name}', node)


def test_whatever_is_public_has_a_docstring() -> None:
    assert len(dict(public())) > 1000
    assert [name for name, node in public() if not ast.get_docstring(node)] == []


def test_the_table_of_packages_is_the_layers() -> None:
    from unit.test_imports import FOR_ALL, LAYERS

    page = (ROOT / 'docs' / 'architecture.md').read_text()
    rows = re.findall(r'^\| `(\w+)` \| [^|]+ \| ([^|]+) \|$', page, re.MULTILINE)
    stated = {name: set(may.replace('–', '').replace(',', ' ').split()) for name, may in rows}
    assert stated == {n: may for n, may in LAYERS.items() if n not in FOR_ALL | {'__init__'}}


def test_modules_of_the_reference_exist() -> None:
    page = (ROOT / 'docs' / 'api.md').read_text()
    names = re.findall(r'automodule:: (\S+)', page)
    assert len(names) > 10
    assert all(inspect.ismodule(pkgutil.resolve_name(name)) for name in names)
