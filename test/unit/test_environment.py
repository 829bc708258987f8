"""What stops the setup of .venv is one sentence that says what to do."""

from pathlib import Path
import shutil
import subprocess
import sys

from environment.problems import check_machine, run, SetupError
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def whole_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing be missing, so that each test takes away one thing."""
    monkeypatch.setattr('environment.problems.platform.machine', lambda: 'x86_64')
    monkeypatch.setattr('environment.problems.importlib.util.find_spec', lambda name: name)
    monkeypatch.setattr('environment.problems.shutil.which', lambda name: f'/usr/bin/{name}')
    monkeypatch.setattr('environment.problems.Path.is_file', lambda path: True)
    monkeypatch.delenv('CC', raising=False)
    monkeypatch.delenv('CXX', raising=False)


def problem() -> str:
    """Return the sentence that ``check_machine`` raises."""
    with pytest.raises(SetupError) as caught:
        check_machine()
    assert '\n' not in str(caught.value)
    return str(caught.value)


def test_a_whole_machine_passes() -> None:
    check_machine()


def test_another_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('environment.problems.platform.machine', lambda: 'aarch64')
    assert 'aarch64' in problem()


def test_no_venv_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('environment.problems.importlib.util.find_spec', lambda name: None)
    assert 'python3-venv' in problem()


def test_no_python_headers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('environment.problems.Path.is_file', lambda path: False)
    assert 'python3-dev' in problem()


@pytest.mark.parametrize(('present', 'language'), [((), 'C'), (('cc', 'gcc'), 'C++')])
def test_no_compiler(
    monkeypatch: pytest.MonkeyPatch, present: tuple[str, ...], language: str
) -> None:
    monkeypatch.setattr(
        'environment.problems.shutil.which', lambda name: name if name in present else None
    )
    assert problem().startswith(f'no {language} compiler')


def test_the_compiler_that_the_user_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('CXX', 'my-compiler')
    monkeypatch.setattr(
        'environment.problems.shutil.which', lambda name: None if name == 'my-compiler' else name
    )
    assert 'my-compiler' in problem()


def test_a_failing_command_shows_its_end() -> None:
    code = 'import sys; print("first"); print("\\n" * 30 + "the cause"); sys.exit(3)'
    with pytest.raises(SetupError, match='the cause') as caught:
        run([sys.executable, '-c', code], cwd=ROOT)
    assert 'first\n' not in str(caught.value)


@pytest.mark.skipif(not shutil.which('make'), reason='make is not installed')
@pytest.mark.parametrize('python', ['', 'false'])
def test_make_names_the_python_it_needs(python: str) -> None:
    command = ['make', '--no-print-directory', 'setup', f'PYTHON={python}']
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode != 0
    assert 'Python 3.10 to 3.13 is needed' in result.stderr.splitlines()[0]
