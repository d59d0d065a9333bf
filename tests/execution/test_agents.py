"""Environments for learners, and agents: the same episodes, the same network, no pickle.

What trains needs the extra `rl` (torch is gigabytes, and not in the lock): those tests say so where
it is missing. Using an agent needs none of it.
"""

import json

import numpy as np
import pytest
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st

from quantlab.errors import DataError, QuantlabError, SpecificationError
from quantlab.execution import (
    Agent,
    ExecutionEnv,
    ExecutionProblem,
    OrderBookModel,
    compare_execution,
    gymnasium_env,
    load_agent,
    stable_baselines_env,
    train_agent,
)

BOOK = OrderBookModel.cont_stoikov_talreja()
SMALL = ExecutionProblem(BOOK, quantity=2, n_events=15, longest_queue=4)
HOW = "NOT TESTED: pip install 'quantlab[rl]'"
STORED = ROOT / "nbs/65_execution/agents"


def random_agent(seed, widths=(10, 5, 3)):
    rng = np.random.default_rng(seed)
    layers = tuple(
        (rng.normal(size=(out, into)).astype(np.float32), rng.normal(size=out).astype(np.float32))
        for into, out in zip(widths, widths[1:])
    )
    return Agent(layers, "ppo", seed, 1.5, 1000, 2, 15, 4, SMALL.rates)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**31), st.lists(st.integers(0, 2), min_size=15, max_size=15))
def test_one_episode_is_the_first_of_many(seed, actions):
    one, many = ExecutionEnv(SMALL, seed=seed), SMALL.vector_env(3, seed=seed)
    seen, info = one.reset()
    assert (seen == many.reset()[0]).all() and info == {"episode": 0}
    for action in actions:
        seen, reward, terminated, truncated, _ = one.step(action)
        after, rewards, ended, infos = many.step([action] * 3)
        assert reward == pytest.approx(rewards[0]) and terminated == ended[0] and not truncated
        assert (seen == (infos[0]["terminal_observation"] if terminated else after[0])).all()
        assert (np.abs(seen) <= 1).all()
        if terminated:
            break
    assert terminated
    assert (one.reset(seed=seed)[0] == ExecutionEnv(SMALL, seed=seed).reset()[0]).all()


def test_what_is_seen_does_not_depend_on_what_will_come():
    "The same state under other episodes, seeds and mids looks the same"
    a, b = ExecutionEnv(SMALL, seed=1), ExecutionEnv(SMALL, seed=99)
    for env in (a, b):
        env.reset()
    b.state[:] = a.state
    b.state[5] = -7
    assert (a._seen() == b._seen()).all()


def test_the_table_of_an_agent_is_what_its_network_does():
    agent = random_agent(3)
    policy, env = agent.policy(SMALL), SMALL.vector_env(16, seed=2)
    seen = env.reset()
    for _ in range(60):
        step, left, bid, ask, ahead, _ = env.states.T
        want = agent.logits(seen).argmax(axis=1)
        assert (policy.action[step, left - 1, bid - 1, ask, ahead + 1] == want).all()
        seen = env.step(want)[0]


def test_an_agent_is_kept_without_pickle(tmp_path):
    agent = random_agent(0, (10, 7, 4, 3))
    agent.save(tmp_path / "deep/agent")
    again = load_agent(tmp_path / "deep/agent")
    assert again.to_dict() == agent.to_dict() and again.rates == agent.rates
    for one, other in zip(again.layers, agent.layers):
        assert all((x == y).all() and x.dtype == np.float32 for x, y in zip(one, other))
    names = {p.name for p in (tmp_path / "deep/agent").iterdir()}
    assert names == {"agent.json", "weights.safetensors"}


def test_the_file_of_weights_is_what_safetensors_reads(tmp_path):
    safetensors = pytest.importorskip(
        "safetensors.numpy", reason="NOT TESTED: pip install safetensors"
    )
    agent = random_agent(1)
    agent.save(tmp_path)
    read = safetensors.load_file(tmp_path / "weights.safetensors")
    for k, layer in enumerate(agent.layers):
        for name, array in zip(("weights", "offsets"), layer):
            assert (read[f"{k}.{name}"] == array).all()
    safetensors.save_file(read, tmp_path / "weights.safetensors", metadata={"by": "a test"})
    again = load_agent(tmp_path)
    assert all((a[0] == b[0]).all() for a, b in zip(again.layers, agent.layers))


def _damage(folder, name, change):
    path = folder / name
    path.write_bytes(change(path.read_bytes()))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("agent.json", lambda data: b"[]"),
        ("agent.json", lambda data: data.replace(b'"ppo"', b'"cma"')),
        ("agent.json", lambda data: data.replace(b'"quantity": 2', b'"quantity": "two"')),
        ("agent.json", lambda data: data[:-5]),
        ("weights.safetensors", lambda data: b""),
        ("weights.safetensors", lambda data: data[:-4]),
        ("weights.safetensors", lambda data: data.replace(b"F32", b"F64")),
        ("weights.safetensors", lambda data: data.replace(b"[3]", b"[1]")),
        ("weights.safetensors", lambda data: data.replace(b"1.offsets", b"9.offsets")),
        ("weights.safetensors", lambda data: data[:-4] + b"\x00\x00\xc0\x7f"),
        ("weights.safetensors", lambda data: b"\x80\x04cposix\nsystem\n" + data),
    ],
)
def test_a_damaged_agent_is_refused(tmp_path, name, change):
    random_agent(0).save(tmp_path)
    _damage(tmp_path, name, change)
    with pytest.raises(DataError, match="no agent that can be read") as raised:
        load_agent(tmp_path)
    assert "\n" not in str(raised.value)


def test_the_stored_agents_meet_the_target():
    "At least 70 % of the gain over TWAP on each of three seeds, 20,000 episodes of one luck"
    problem = ExecutionProblem(BOOK, quantity=5, n_events=200)
    agents = [load_agent(STORED / f"ppo_{seed}") for seed in range(3)]
    assert [a.seed for a in agents] == [0, 1, 2]
    assert all(a.cpu_seconds < 125 and a.rates == problem.rates for a in agents)
    policies = {str(a.seed): a.policy(problem) for a in agents}
    found = compare_execution(policies, problem, n_episodes=20_000, seed=4).table
    assert (found.loc[["0", "1", "2"], "share"] > 0.7).all()


@pytest.mark.parametrize(
    ("call", "why"),
    [
        (lambda: ExecutionEnv("book"), "problem"),
        (lambda: ExecutionEnv(SMALL, seed=-1), "seed"),
        (lambda: ExecutionEnv(SMALL).reset(seed=1.5), "seed"),
        (lambda: ExecutionEnv(SMALL).step(0), "no episode is under way"),
        (lambda: started().step(3), "an action is 0"),
        (lambda: started().step(-1), "an action is 0"),
        (lambda: started().step(0.5), "an action is 0"),
        (lambda: started().step("sell"), "an action is 0"),
        (lambda: started().step([0, 1]), "each of 1"),
        (lambda: stable_baselines_env("book", 1, seed=0), "problem"),
        (lambda: stable_baselines_env(SMALL, 0, seed=0), "`n`"),
        (lambda: train_agent("book", seed=0, cpu_seconds=1), "problem"),
        (lambda: train_agent(SMALL, algorithm="sac", seed=0, cpu_seconds=1), "algorithm"),
        (lambda: train_agent(SMALL, seed=2**32, cpu_seconds=1), "seed"),
        (lambda: train_agent(SMALL, seed=0, cpu_seconds=-1), "cpu_seconds"),
        (lambda: random_agent(0).policy("book"), "problem"),
        (
            lambda: random_agent(0).policy(ExecutionProblem(BOOK, quantity=3, n_events=15)),
            r"was trained for .* = \(2, 15, 4\)",
        ),
    ],
)
def test_bad_input_is_one_sentence(call, why):
    with pytest.raises(QuantlabError, match=why) as raised:
        call()
    assert "\n" not in str(raised.value) and isinstance(raised.value, SpecificationError)


def started():
    env = ExecutionEnv(SMALL)
    env.reset()
    return env


def test_gymnasium_finds_nothing_to_say():
    pytest.importorskip("gymnasium", reason=HOW)
    from gymnasium.utils.env_checker import check_env

    env = gymnasium_env(SMALL)
    check_env(env, skip_render_check=True)
    assert env.observation_space.shape == (10,) and env.action_space.n == 3


def test_stable_baselines_plays_the_same_episodes():
    pytest.importorskip("stable_baselines3", reason=HOW)
    env, many = stable_baselines_env(SMALL, 4, seed=5), SMALL.vector_env(4, seed=5)
    assert (env.reset() == many.reset()).all() and env.num_envs == 4
    for k in range(40):
        found, want = env.step(np.full(4, k % 3)), many.step(np.full(4, k % 3))
        assert all((a == b).all() for a, b in zip(found[:3], want[:3]))
    with pytest.raises(SpecificationError, match="not changed"):
        env.set_attr("render_mode", "human")


@pytest.mark.filterwarnings("default")  # torch's own
def test_a_short_training_is_torchs_network(tmp_path):
    torch = pytest.importorskip("torch", reason=HOW)
    pytest.importorskip("stable_baselines3", reason=HOW)
    agent = train_agent(SMALL, seed=1, cpu_seconds=3)
    assert 3 <= agent.cpu_seconds < 30 and agent.n_steps >= 64
    seen = SMALL.vector_env(200, seed=0).reset()
    found = torch.from_numpy(seen)
    for k, layer in enumerate(agent.layers):
        weights, offsets = map(torch.from_numpy, layer)
        found = torch.nn.functional.linear(found, weights, offsets)
        found = torch.tanh(found) if k < len(agent.layers) - 1 else found
    assert np.allclose(found.numpy(), agent.logits(seen), atol=1e-5)
    agent.save(tmp_path)
    assert load_agent(tmp_path).policy(SMALL).value == agent.policy(SMALL).value


def test_an_exported_agent_answers_as_ours(tmp_path):
    pytest.importorskip("onnx", reason=HOW)
    runtime = pytest.importorskip("onnxruntime", reason="NOT TESTED: pip install onnxruntime")
    for agent in (random_agent(2), load_agent(STORED / "ppo_0")):
        agent.export_onnx(tmp_path / "agent.onnx")
        session = runtime.InferenceSession(tmp_path / "agent.onnx")
        seen = SMALL.vector_env(500, seed=0).reset()
        (found,) = session.run(None, {"seen": seen})
        assert (found == agent.logits(seen).argmax(axis=1)).all()


def test_a_stored_agent_is_small_and_says_where_it_comes_from():
    for folder in STORED.iterdir():
        assert sum(p.stat().st_size for p in folder.iterdir()) < 50_000
        said = json.loads((folder / "agent.json").read_text())
        assert {"seed", "cpu_seconds", "n_steps", "rates"} <= set(said)
