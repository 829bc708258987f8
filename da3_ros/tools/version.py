"""The version of this package, from wherever it is installed."""

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as distribution_version
from pathlib import Path
from xml.etree import ElementTree


def version(module: Path = Path(__file__)) -> str:
    """
    Return the version that package.xml states, or 'unknown'.

    A checkout has package.xml at its root, and colcon installs it under share/, which is beside
    some parent of ``module``. pip keeps the version that it read there at build time.
    """
    for parent in module.resolve().parents:
        for path in (parent / 'package.xml', parent / 'share' / 'da3_ros' / 'package.xml'):
            if path.is_file():
                package = ElementTree.parse(path)
                if package.findtext('name') == 'da3_ros':
                    return package.findtext('version')
    try:
        return distribution_version('da3_ros')
    except PackageNotFoundError:
        return 'unknown'
