"""With --json stdout is one JSON text, whatever is printed."""

import argparse
import json

from da3_ros.tools.answer import add_json_option, answer, words_aside
import numpy as np
import pytest


def arguments(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_json_option(parser)
    return parser.parse_args(words)


def test_words_go_to_stderr_and_the_answer_to_stdout(capsys: pytest.CaptureFixture) -> None:
    asked = arguments('--json')
    with words_aside(asked):
        print('a word')
        value = {'a': np.float32(0.5), 'b': [float('nan'), np.inf, None, True], 3: ('x', 1)}
        answer(asked, value | {'c': np.arange(2)})
        print('another')
    told = capsys.readouterr()
    expected = {'a': 0.5, 'b': [None, None, None, True], '3': ['x', 1], 'c': [0, 1]}
    assert json.loads(told.out) == expected
    assert told.err == 'a word\nanother\n'


def test_without_it_stdout_has_the_words_alone(capsys: pytest.CaptureFixture) -> None:
    asked = arguments()
    with words_aside(asked):
        print('a word')
        answer(asked, {'a': 1})
    assert capsys.readouterr() == ('a word\n', '')
