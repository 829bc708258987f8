"""Processes that share a run average their gradients and follow the first one's clock."""

from pathlib import Path
import subprocess
import sys

from da3_ros.training.ranks import Ranks
import torch

SCRIPT = """
from pathlib import Path
import sys

from da3_ros.training.ranks import Ranks
import torch

ranks = Ranks.join('cpu')
flat = torch.tensor([1.0, 10.0]) * ranks.rank
ranks.average_(flat)
said = [*flat.tolist(), ranks.agree(7.0 + ranks.rank), ranks.is_first]
Path(sys.argv[1], str(ranks.rank)).write_text(repr(said))
ranks.leave()
"""


def test_one_process_is_its_own_run() -> None:
    ranks = Ranks.join('cpu')
    flat = torch.tensor([3.0])
    ranks.average_(flat)
    assert (ranks.is_first, ranks.size, flat.item(), ranks.agree(2.5)) == (True, 1, 3.0, 2.5)
    ranks.leave()


def test_two_processes_average_and_agree(tmp_path: Path) -> None:
    script = tmp_path / 'script.py'
    script.write_text(SCRIPT)
    torchrun = [sys.executable, '-m', 'torch.distributed.run', '--standalone']
    command = [*torchrun, '--nproc-per-node', '2', str(script), str(tmp_path)]
    subprocess.run(command, check=True, timeout=120, capture_output=True)
    assert (tmp_path / '0').read_text() == repr([0.5, 5.0, 7.0, True])
    assert (tmp_path / '1').read_text() == repr([0.5, 5.0, 7.0, False])
