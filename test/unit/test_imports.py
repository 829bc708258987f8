"""Imports go one way, and ROS appears in one layer: read from the sources."""

import ast
from collections.abc import Iterator
from pathlib import Path
import subprocess
import sys

import pytest

PACKAGE = Path(__file__).parents[2] / 'da3_ros'
# What each layer may import besides itself; any may import those of FOR_ALL.
LAYERS = {
    '__init__': set(),
    'errors': set(),
    'parameter_tree': set(),
    'cloud_config': set(),
    'frames_config': set(),
    'config': set(),
    'geometry': set(),
    'evaluation': {'engine', 'geometry', 'model'},
    'model': {'geometry'},
    'engine': {'geometry', 'model'},
    'training': {'evaluation', 'geometry', 'model'},
    'viewer': {'geometry'},
    'ros': {'engine', 'geometry', 'viewer'},
    'tools': {'engine', 'evaluation', 'geometry', 'model', 'ros', 'training', 'viewer'},
}
FOR_ALL = {'cloud_config', 'config', 'errors', 'frames_config', 'parameter_tree'}
ROS_MODULES = {
    *('ament_index_python', 'cv_bridge', 'launch', 'launch_ros', 'message_filters', 'rclpy'),
    *('rosidl_runtime_py', 'sensor_msgs_py', 'tf2_py', 'tf2_ros', 'tf_transformations'),
}
ROS_SUFFIXES = ('_msgs', '_srvs', '_interfaces')


def imported_modules(source: str, module: str) -> Iterator[tuple[int, str]]:
    """Yield line and full name of everything that the source of ``module`` imports."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = module.split('.')[: -node.level] if node.level else []
            base = '.'.join([*parents, node.module] if node.module else parents)
            # `from da3_ros import engine` names the layer only after the import.
            yield from ((node.lineno, f'{base}.{alias.name}') for alias in node.names)


def violations(source: str, module: str) -> list[str]:
    """Return a sentence for each import that ``module`` (da3_ros.layer.name) may not have."""
    layer = module.split('.')[1]
    allowed = LAYERS[layer] | FOR_ALL | {layer}
    found = []
    for line, name in imported_modules(source, module):
        top, inner = [*name.split('.'), ''][:2]
        is_ours = top == 'da3_ros'
        is_ros = top in ROS_MODULES or top.endswith(ROS_SUFFIXES) or (is_ours and inner == 'msg')
        if is_ros and layer != 'ros':
            found.append(f'{module}:{line} imports {name}, which only da3_ros.ros may')
        elif is_ours and not is_ros and inner and inner not in allowed:
            found.append(f'{module}:{line} imports {name}; {layer} may use {sorted(allowed)}')
    return found


def modules() -> list[Path]:
    """Return the package's source files."""
    return sorted(PACKAGE.rglob('*.py'))


@pytest.mark.parametrize('path', modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_follow_the_layers(path: Path) -> None:
    parts = path.relative_to(PACKAGE.parent).with_suffix('').parts
    assert violations(path.read_text(), '.'.join(parts)) == []


@pytest.mark.parametrize(
    ('module', 'source'),
    [
        ('da3_ros.geometry.rays', 'from da3_ros.model import load_model'),
        ('da3_ros.geometry.rays', 'from ..model import load_model'),
        ('da3_ros.engine.window', 'from da3_ros import ros'),
        ('da3_ros.engine.window', 'def later():\n    import rclpy.node'),
        ('da3_ros.tools.infer', 'from sensor_msgs.msg import Image'),
        ('da3_ros.tools.infer', 'from da3_ros.msg import Status'),
        ('da3_ros.ros.node', 'import da3_ros.evaluation.depth'),
        ('da3_ros.config', 'from da3_ros.engine import Frame'),
    ],
)
def test_a_wrong_import_is_found(module: str, source: str) -> None:
    assert len(violations(source, module)) == 1


@pytest.mark.parametrize(
    ('module', 'source'),
    [
        ('da3_ros.engine.window', 'from da3_ros.engine.frame import Frame\nimport torch'),
        ('da3_ros.engine.__init__', 'from .frame import Frame'),
        ('da3_ros.ros.node', 'from da3_ros.msg import Status\nimport rclpy'),
        ('da3_ros.tools.demo', 'from da3_ros.ros.main import main'),
    ],
)
def test_a_right_import_is_not(module: str, source: str) -> None:
    assert violations(source, module) == []


def test_the_package_itself_pulls_in_neither_torch_nor_ros() -> None:
    code = 'import sys, da3_ros; sys.exit(bool({"torch", "rclpy", "numpy"} & set(sys.modules)))'
    subprocess.run([sys.executable, '-c', code], check=True, cwd=PACKAGE.parent)
