"""What Tab offers, as the shells themselves see it."""

import shutil
import subprocess

from da3_ros.tools.main import COMMANDS, main
import pytest


def script(shell: str, capsys: pytest.CaptureFixture) -> str:
    """Return what ``da3 completion`` prints."""
    assert main(['completion', shell]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ('line', 'offered'),
    [
        ('da3 in', {'infer'}),
        ('da3 ', {*COMMANDS, '--help', '--version'}),
        ('da3 infer --prec', {'--precision'}),
        ('da3 infer folder --out', {'--output'}),
        ('da3 bench --precision b', {'bf16'}),
        ('da3 completion ', {'bash', 'zsh', 'fish'}),
        ('da3 infer vid', set()),  # the shell offers files
        ('da3 infer --output ', set()),
    ],
)
def test_bash_completes(line: str, offered: set[str], capsys: pytest.CaptureFixture) -> None:
    words = line.split(' ')
    listed = ' '.join(f"'{word}'" for word in words)
    ask = f'COMP_WORDS=({listed}); COMP_CWORD={len(words) - 1}; _da3; echo "${{COMPREPLY[@]}}"'
    command = ['bash', '-c', script('bash', capsys) + ask]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == offered


@pytest.mark.parametrize('shell', ['zsh', 'fish'])
def test_the_other_shells_read_their_script(shell: str, capsys: pytest.CaptureFixture) -> None:
    text = script(shell, capsys)
    if shutil.which(shell):
        subprocess.run([shell, '-n'], input=text, text=True, check=True)
    else:  # At least every quote is closed, and every command is there.
        assert all(line.count("'") % 2 == 0 for line in text.splitlines())
    assert all(name in text for name in COMMANDS)


def test_fish_shows_what_options_are_for(capsys: pytest.CaptureFixture) -> None:
    lines = script('fish', capsys).splitlines()
    (line,) = [x for x in lines if 'from infer' in x and ' -l precision ' in x]
    assert " -r -f -a 'auto fp32 bf16 fp16' -d 'Precision of the network'" in line
