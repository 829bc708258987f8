"""Python packaging: everything is in pyproject.toml but the version, which package.xml holds."""

from pathlib import Path
from xml.etree import ElementTree

from setuptools import setup

package_xml = Path(__file__).parent / 'package.xml'
setup(version=ElementTree.parse(package_xml).findtext('version'))
