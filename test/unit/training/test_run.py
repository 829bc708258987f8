"""Whole runs of a tiny network on the CPU: every part learns, and a cut run goes on unharmed."""

from dataclasses import replace
from pathlib import Path

from da3_ros.errors import ConfigError, WeightsError
from da3_ros.model import load_model
from da3_ros.training.checkpoint import saved_progress
from da3_ros.training.config import Bucket, TrainConfig
from da3_ros.training.data import WindowSource
from da3_ros.training.heldout import held_out_windows, HeldOutConfig
from da3_ros.training.loop import build, Leg, train
from da3_ros.training.losses import losses
from da3_ros.training.matching import find_matches, MatchSupervision
from da3_ros.training.pool import PoolConfig, ScenePool
from da3_ros.training.scenes.catalogue import PaintedTextures
from da3_ros.training.scenes.make import SceneConfig
from da3_ros.training.schedule import Rates, rates_at
from da3_ros.training.step import choose_views, predict, Trainer
from da3_ros.training.targets import make_targets
import pytest
from safetensors.torch import load_file
import torch

CPU = torch.device('cpu')
CONFIG = TrainConfig(
    model='tiny',
    steps=6,
    views_per_step=6,
    scenes=64,
    new_scenes_per_step=32,
    texture_variants=1,
    texture_side=16,
    samples_per_side=1,
    warmup_steps=2,
    validation_scenes=0,
)


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    whole, parts = tmp_path / 'whole', tmp_path / 'parts'
    train(CONFIG, Leg(CPU, whole))
    # The plan stays the same; only the sitting ends early.
    train(CONFIG, Leg(CPU, parts, stop_after_steps=3))
    assert saved_progress(parts).step == 3
    progress = train(CONFIG, Leg(CPU, parts, tmp_path / 'net.safetensors'))
    assert progress.step == 6
    one, other = (load_file(folder / 'state.safetensors') for folder in (whole, parts))
    for name, tensor in one.items():
        torch.testing.assert_close(other[name], tensor, rtol=1e-5, atol=1e-7, msg=name)
    net = load_model(tmp_path / 'net.safetensors')
    assert net.config == CONFIG.network and net.is_trained
    with pytest.raises(WeightsError, match='another network'):
        train(replace(CONFIG, model='embedded'), Leg(CPU, parts))


def test_a_run_starts_from_given_weights_and_resumes_from_its_own(tmp_path: Path) -> None:
    first = tmp_path / 'first.safetensors'
    train(CONFIG, Leg(CPU, export_to=first, stop_after_steps=2))
    config = replace(CONFIG, init=str(first))
    given = dict(load_model(first).named_parameters())
    net, optimiser = build(config, CPU)
    for name, place in zip(optimiser.names, optimiser.views(optimiser.masters)):
        torch.testing.assert_close(place, given[name].detach(), rtol=0, atol=0)
    assert torch.equal(optimiser.average, optimiser.masters)
    assert all(p.requires_grad for p in net.parameters())

    state = tmp_path / 'state'
    train(config, Leg(CPU, state, stop_after_steps=1))
    first.unlink()  # a run that goes on needs it no more
    assert train(config, Leg(CPU, state, stop_after_steps=2)).step == 2
    with pytest.raises(WeightsError, match='first.safetensors'):
        train(config, Leg(CPU))
    with pytest.raises(WeightsError, match='da3-embedded'):
        build(replace(CONFIG, init='embedded'), CPU)


def test_each_part_of_the_prepared_start_can_be_left_out() -> None:
    nets = {
        name: build(replace(CONFIG, **changes), CPU)[0]
        for name, changes in {
            'all': {},
            'plain': {'prepared_start': False},
            'loud': {'camera_gain': 1.0},
        }.items()
    }
    first = {name: net.backbone.blocks[5].attn.qkv.weight for name, net in nets.items()}
    dim = CONFIG.network.embed_dim
    is_search = {n: torch.equal(w[:dim], w[dim : 2 * dim]) for n, w in first.items()}
    assert is_search == {'all': True, 'plain': False, 'loud': True}
    size = {
        n: float(net.camera_decoder.quaternion.weight.detach().norm()) for n, net in nets.items()
    }
    assert size['all'] == pytest.approx(size['plain']) == pytest.approx(0.05 * size['loud'])


def test_chosen_views_are_predicted_as_among_all() -> None:
    net, _ = build(CONFIG, CPU)
    windows = held_out_windows(HeldOutConfig(2, 3, 56, 70, 1, 16, 1), CPU)
    chosen = torch.tensor([2, 0])
    with torch.no_grad():
        some, every = predict(net, windows, chosen), predict(net, windows)
    targets = make_targets(windows, 14)
    few = targets.of_views(chosen)
    for name in ('depth', 'depth_conf', 'rays', 'ray_conf'):
        torch.testing.assert_close(getattr(some, name), getattr(every, name)[:, [2, 0]])
    torch.testing.assert_close(some.cameras, every.cameras)
    for name in ('depth', 'valid', 'rays', 'points', 'point_valid'):
        assert torch.equal(getattr(few, name), getattr(targets, name)[:, [2, 0]]), name
    assert torch.equal(few.cameras, targets.cameras)
    assert [len(choose_views(n, 0.25, CPU)) for n in (1, 2, 4, 6, 8)] == [1, 1, 1, 2, 2]


def test_every_parameter_gets_a_gradient() -> None:
    net, _ = build(CONFIG, CPU)
    windows = held_out_windows(HeldOutConfig(2, 3, 56, 70, 1, 16, 1), CPU)
    windows = windows._replace(known=torch.tensor([True, False]))
    targets = make_targets(windows, 14)
    supervision = MatchSupervision(net)
    with supervision:
        outputs = predict(net, windows)
    total = sum(losses(outputs, targets, CONFIG).values())
    total = total + supervision.loss(find_matches(windows, 14))
    gradients = torch.autograd.grad(total, list(net.parameters()))
    for (name, _), gradient in zip(net.named_parameters(), gradients, strict=True):
        assert gradient.isfinite().all(), name
        # The bias of keys shifts all logits of a query alike where no norm follows.
        if not (name.startswith('camera_encoder') or 'attn.qkv.bias' in name):
            assert gradient.abs().max() > 0, name


def test_windows_are_learned_by_heart() -> None:
    config = replace(CONFIG, lr=3e-3, warmup_steps=5, jump=100.0)
    net, optimiser = build(config, CPU)
    trainer = Trainer(net, optimiser, config)
    windows = held_out_windows(HeldOutConfig(2, 2, 56, 70, 1, 16, 1), CPU)
    measured = []
    for step in range(60):
        trainer.metrics.zero_()
        trainer.rates.copy_(torch.tensor(rates_at(config, step, 0.1)))
        trainer.learn(windows)
        trainer.update()
        measured.append(dict(zip(trainer.names, trainer.metrics.tolist())))
    assert measured[-1]['log_depth_error'] < 0.5 * measured[0]['log_depth_error']
    assert measured[-1]['match'] < 0.6 * measured[0]['match']
    assert measured[-1]['camera'] < 0.5 * measured[0]['camera']


def test_windows_depend_on_the_seed_alone() -> None:
    textures = SceneConfig(textures=PaintedTextures(1))
    drawn = []
    for _ in range(2):
        with ScenePool(PoolConfig(64, 0, 0, 0, 16), textures, CPU) as pool:
            source = WindowSource(pool.scenes, pool.atlas, Bucket(2, 28, 42), 3, 1)
            torch.manual_seed(5)
            drawn.append(source(torch.tensor(0.5)))
    for one, other in zip(*drawn):
        torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True)


def test_a_resumed_pool_holds_what_the_other_holds() -> None:
    textures = SceneConfig(textures=PaintedTextures(1))
    shape = PoolConfig(128, 8, 0, 0, 16)
    with ScenePool(shape, textures, CPU) as pool, ScenePool(shape, textures, CPU, 24) as later:
        before = pool.scenes.centre.clone()
        pool.advance(24)
        torch.testing.assert_close(pool.scenes.centre, later.scenes.centre, rtol=0, atol=0)
        assert not torch.equal(before, pool.scenes.centre)


def test_schedules_land_where_the_plan_ends() -> None:
    config = TrainConfig()
    start, middle, end = (rates_at(config, 10_000, x) for x in (0.0, 0.5, 1.0))
    assert start.lr == config.lr and end.lr == pytest.approx(config.lr * config.final_lr_share)
    assert start.ease < middle.ease == end.ease == 1
    assert end.match == pytest.approx(config.final_match_weight)
    assert rates_at(config, 0, 0.0).lr < 0.01 * config.lr
    assert Rates._fields[-1] == 'active'


def test_assignments_are_checked() -> None:
    assert TrainConfig().with_assignments(['lr=1e-4', 'model=tiny']).lr == 1e-4
    assert not TrainConfig().with_assignments(['prepared_start=False']).prepared_start
    wrong_ones = ('speed=3', 'lr=fast', 'lr=-1', 'model=huge', 'monocular=2', 'clipping=none')
    for wrong in wrong_ones:
        with pytest.raises(ConfigError):
            TrainConfig().with_assignments([wrong])
