"""The execution problem: episodes and the recursion in numba, beside the same in plain Python.

    python benchmarks/bench_execution.py [--episodes 200]

A ratio is printed only where the results agree: the cost of every episode to 1e-9. The loop beside
ours runs the kernel's own functions without numba (their `py_func`), so both play the same rules
with the same random numbers, hash and all; a plain loop with `random.random()` would be faster by
what the hash costs. CPU seconds; the first, cold call (compiling, or loading what was compiled)
apart. Steps a second are those of `vector_env` with 64 episodes side by side.
"""

import argparse
import os
import time

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np  # noqa: E402

from quantlab.execution import ExecutionProblem, OrderBookModel  # noqa: E402
from quantlab.execution import episode_kernel as kernel  # noqa: E402


def clock(function):
    "Result and CPU time of a call"
    start = time.process_time()
    result = function()
    return result, time.process_time() - start


def python_costs(problem, policy, n):
    "The same episodes without numba"
    names = [n for n in vars(kernel) if hasattr(getattr(kernel, n), "py_func")]
    compiled = {name: getattr(kernel, name) for name in names}
    for name in names:
        setattr(kernel, name, compiled[name].py_func)
    try:
        costs = np.zeros(n)
        with np.errstate(over="ignore"):  # a hash wraps around
            kernel.play_table(policy.action, problem.rates, problem.law, 0, 0, costs)
    finally:
        for name in names:
            setattr(kernel, name, compiled[name])
    return costs / problem.quantity


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--episodes", type=int, default=200)
    n = parser.parse_args().episodes
    problem = ExecutionProblem(OrderBookModel.cont_stoikov_talreja(), quantity=5, n_events=200)
    _, cold = clock(problem.solve)
    best, warm = clock(problem.solve)
    print(f"optimum, {np.prod(problem.shape):,} entries: {warm:.2f} s (cold {cold:.2f} s)")

    problem.simulate(best, n_episodes=10, seed=0)
    ours, fast = clock(lambda: problem.simulate(best, n_episodes=20_000, seed=0))
    theirs, slow = clock(lambda: python_costs(problem, best, n))
    if not np.allclose(ours[:n], theirs, rtol=0, atol=1e-9):
        raise SystemExit("episodes: the results disagree; there is nothing to compare.")
    per = fast / 20_000, slow / n
    print(
        f"an episode: ours {1e6 * per[0]:.1f} us, plain Python {1e3 * per[1]:.2f} ms, "
        f"{per[1] / per[0]:,.0f}x"
    )

    env, actions = problem.vector_env(64, seed=0), np.full(64, kernel.WAIT)
    env.reset()
    env.step(actions)
    _, spent = clock(lambda: [env.step(actions) for _ in range(5000)])
    print(f"64 episodes side by side: {64 * 5000 / spent:,.0f} steps a second")


if __name__ == "__main__":
    main()
