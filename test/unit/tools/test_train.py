"""``da3 train`` as it is called: cut by a signal, it saves what it has and goes on later."""

import json
from pathlib import Path
import signal
import subprocess
import sys
import time

from da3_ros.model import load_model
from da3_ros.tools.main import main
from da3_ros.training.checkpoint import saved_progress

TINY = {
    'model': 'tiny',
    'views_per_step': 6,
    'scenes': 64,
    'texture_variants': 1,
    'texture_side': 16,
    'validation_scenes': 0,
    'log_every_s': 0,
    'warmup_steps': 2,
}


def words(folder: Path, **changes: object) -> list[str]:
    sets = [f'{name}={value}' for name, value in {**TINY, **changes}.items()]
    export = ['--export', str(folder / 'net.safetensors')]
    where = ['--device', 'cpu', '--state-dir', str(folder), *export]
    return ['train', *where, *(word for text in sets for word in ('--set', text))]


def test_a_signal_saves_the_state_and_the_next_call_goes_on(tmp_path: Path) -> None:
    command = [sys.executable, '-m', 'da3_ros.tools.main', *words(tmp_path, minutes=10)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    log = tmp_path / 'log.jsonl'
    end = time.monotonic() + 90
    while not (log.exists() and '"train"' in log.read_text()):
        assert process.poll() is None and time.monotonic() < end, process.communicate()
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0 and 'of 10 minutes' in said
    before = saved_progress(tmp_path)
    logged = [json.loads(line) for line in log.read_text().splitlines()]
    assert before.step >= max(entry.get('step', 0) for entry in logged) > 0
    assert load_model(tmp_path / 'net.safetensors').is_trained

    handlers = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    assert main(words(tmp_path, steps=before.step + 1)) == 0
    assert saved_progress(tmp_path).step == before.step + 1
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == handlers
