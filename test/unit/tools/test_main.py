"""The command line's frame: help that teaches, errors as one sentence, exit codes."""

from pathlib import Path
import subprocess
import sys
from xml.etree import ElementTree

from da3_ros.errors import InputError
from da3_ros.tools import infer
from da3_ros.tools.main import COMMANDS, main, parsers
from da3_ros.tools.version import version
import pytest

PACKAGE_XML = Path(__file__).parents[3] / 'package.xml'


def test_help_names_every_command_and_how_to_start(capsys):
    with pytest.raises(SystemExit) as ended:
        main(['--help'])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    words = ' '.join(text.split())  # however the lines are broken
    for name, (_, summary) in COMMANDS.items():
        assert f'{name} {summary}' in words
    assert 'da3 infer VIDEO --output OUT' in text


@pytest.mark.parametrize('name', ['demo', 'infer'])
def test_help_of_a_command_explains_its_options(name, capsys):
    with pytest.raises(SystemExit) as ended:
        main([name, '--help'])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    for option in ('--output', '--model', '--device', '--resolution', '--window', '--set'):
        assert option in text
    assert 'Hugging Face id' in text  # the descriptions are those of the configuration


@pytest.mark.parametrize('argv', [[], ['inference'], ['infer']])
def test_wrong_usage_exits_with_two(argv, capsys):
    with pytest.raises(SystemExit) as ended:
        main(argv)
    assert ended.value.code == 2
    assert 'usage: da3' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('error', 'code', 'text'),
    [
        (InputError('The depth is too deep.'), 2, 'da3 infer: The depth is too deep.\n'),
        (OSError(28, 'No space left on device'), 2, 'No space left on device'),
        (KeyboardInterrupt(), 130, 'interrupted'),
    ],
)
def test_errors_are_sentences_and_exit_codes(error, code, text, monkeypatch, capsys):
    def fail(_):
        raise error

    monkeypatch.setattr(infer, 'run', fail)
    assert main(['infer', 'in', '--output', 'out']) == code
    message = capsys.readouterr().err
    assert text in message and 'Traceback' not in message


def test_a_bug_is_not_hidden(monkeypatch):
    def fail(_):
        raise ZeroDivisionError

    monkeypatch.setattr(infer, 'run', fail)
    with pytest.raises(ZeroDivisionError):
        main(['infer', 'in', '--output', 'out'])


def test_help_comes_without_torch_and_ros():
    code = (
        'import sys\n'
        'from da3_ros.tools.main import main\n'
        'try:\n'
        "    main(['infer', '--help'])\n"
        'except SystemExit:\n'
        "    heavy = {'torch', 'rclpy', 'cv2', 'matplotlib'} & set(sys.modules)\n"
        '    sys.exit(str(heavy) if heavy else 0)\n'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_version_is_that_of_package_xml_wherever_it_is_installed(tmp_path, capsys):
    stated = ElementTree.parse(PACKAGE_XML).findtext('version')
    with pytest.raises(SystemExit) as ended:
        main(['--version'])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f'da3_ros {stated}\n'
    # As colcon installs it; and the package.xml of something else around it says nothing.
    module = tmp_path / 'lib' / 'python3.12' / 'site-packages' / 'da3_ros' / 'tools' / 'version.py'
    share = tmp_path / 'share' / 'da3_ros'
    share.mkdir(parents=True)
    other = '<package><name>other</name><version>7.0.0</version></package>'
    (tmp_path / 'lib' / 'python3.12').mkdir(parents=True)
    (tmp_path / 'lib' / 'python3.12' / 'package.xml').write_text(other)
    (share / 'package.xml').write_text(
        '<package><name>da3_ros</name><version>3.2.1</version></package>'
    )
    assert version(module) == '3.2.1'


def test_the_same_option_means_the_same_in_every_command():
    told: dict[str, set[str]] = {}
    for parser in parsers().values():
        for action in parser._actions:
            for option in action.option_strings:
                told.setdefault(option, set()).add(action.help)
    # What a command writes, what its parameters are, what is played, and whether it starts a node
    # or looks for one, is its own.
    own = {'--output', '--set', '--seed', '--frames', '--fps', '--views', '--domain-id'}
    assert {o for o, texts in told.items() if len(texts) > 1} <= own
    assert all(text for texts in told.values() for text in texts)
