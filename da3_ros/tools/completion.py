"""
``da3 completion``: a script for the shell that completes commands, options and their choices.

All words stand in the script, so no Python starts when Tab is pressed.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

SHELLS = ('bash', 'zsh', 'fish')

_EPILOG = """\
in this shell:
  . <(da3 completion bash)
  . <(da3 completion zsh)
  da3 completion fish | source

in every shell from now on:
  da3 completion bash > ~/.local/share/bash-completion/completions/da3
  echo '. <(da3 completion zsh)' >> ~/.zshrc
  da3 completion fish > ~/.config/fish/completions/da3.fish
"""

# What is no command and no option, and takes no choice, is a file.
_BASH = """\
_da3() {{
    local word="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}" words=
    if [ "$COMP_CWORD" -eq 1 ]; then
        words='{commands} --help --version'
    else
        case "${{COMP_WORDS[1]}} $before" in
{choices}
        esac
        if [ -z "$words" ]; then
            case "$word" in -*)
                case "${{COMP_WORDS[1]}}" in
{options}
                esac ;;
            esac
        fi
    fi
    COMPREPLY=()
    [ -z "$words" ] || COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -o default -F _da3 da3
"""
_ZSH = 'autoload -U +X compinit bashcompinit && compinit && bashcompinit\n'


@dataclass(frozen=True)
class Option:
    """One option of a command, or an argument in its place, which has no ``name``."""

    command: str
    name: str
    choices: tuple[str, ...]
    takes_value: bool
    about: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.add_argument('shell', choices=SHELLS, help='for which shell')
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter


def run(arguments: argparse.Namespace) -> int:
    """Print the script; returns the exit code."""
    from da3_ros.tools.main import COMMANDS, parsers

    about = {name: summary for name, (_, summary) in COMMANDS.items()}
    options = [option for name, parser in parsers().items() for option in _options(name, parser)]
    if arguments.shell == 'fish':
        print('\n'.join(_fish_lines(about, options)))
    else:
        print(
            (_ZSH if arguments.shell == 'zsh' else '') + _bash_script(list(about), options), end=''
        )
    return 0


def _options(command: str, parser: argparse.ArgumentParser) -> Iterator[Option]:
    """Yield the options of a command; argparse has no public way to list them."""
    for action in parser._actions:
        choices = tuple(str(choice) for choice in action.choices or ())
        for name in action.option_strings or ['']:
            if name.startswith('--') or (not name and choices):
                yield Option(command, name, choices, action.nargs != 0, _first(action.help))


def _first(text: str | None) -> str:
    """Return the first clause of a description, without what a shell would read."""
    clause = (text or '').replace('%%', '%').partition(';')[0]
    return clause.partition('. ')[0].rstrip('.').replace("'", '')


def _bash_script(commands: list[str], options: list[Option]) -> str:
    """Return the script for bash, which zsh understands through bashcompinit."""
    choices = [
        f"            '{o.command} {o.name or o.command}') words='{' '.join(o.choices)}' ;;"
        for o in options
        if o.choices
    ]
    names = {
        command: ' '.join(o.name for o in options if o.command == command and o.name)
        for command in commands
    }
    cases = [f"                    {name}) words='{words}' ;;" for name, words in names.items()]
    return _BASH.format(
        commands=' '.join(commands), choices='\n'.join(choices), options='\n'.join(cases)
    )


def _fish_lines(about: dict[str, str], options: list[Option]) -> Iterator[str]:
    """Yield the lines for fish, which shows what each word is for."""
    for name, summary in about.items():
        yield f"complete -c da3 -n __fish_use_subcommand -a {name} -d '{_first(summary)}'"
    for option in options:
        here = f"complete -c da3 -n '__fish_seen_subcommand_from {option.command}'"
        choices = f" -f -a '{' '.join(option.choices)}'" if option.choices else ''
        if option.name:
            value = ' -r' if option.takes_value else ''
            choices = f' -l {option.name.removeprefix("--")}{value}{choices}'
        yield f"{here}{choices} -d '{option.about}'"
