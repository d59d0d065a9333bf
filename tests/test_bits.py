"The compiled kernels give the same bits whatever instructions the processor has"

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from numpy._core._multiarray_umath import __cpu_features__ as own

FEATURES = {
    "sse2": ("generic", "+sse2,-avx,-avx2,-fma"),
    "haswell": ("haswell", "+sse4.2,+avx,+avx2,+fma,+bmi,+bmi2"),
}
PARTS = """
import hashlib, json
import numpy as np
from quantlab.backtest import kernel as book_kernel
from quantlab.cointegration import kernel as pairs
from quantlab.volatility import kernel

x, total = np.random.default_rng(0).standard_t(5, 1003), hashlib.sha256()
theta, gradient, matrix = np.array([0.03, 0.05, 0.07, 0.9]), np.empty(4), np.empty((4, 4))
for exact in (False, True):
    kernel.loglikelihood_derivatives(
        x, theta, kernel.presample_variance(x), exact, gradient, matrix
    )
    total.update(gradient.tobytes() + matrix.tobytes())
total.update(np.array([kernel._loglikelihood(x, theta, 1.1), *kernel._moments(x)]).tobytes())
total.update(kernel.variance_path(x, theta).tobytes())
u, gram, level = x.cumsum(), np.zeros((4, 4)), np.zeros(4)
own = pairs._cross_products(u, np.diff(u, prepend=u[0]), 3, gram, level)
total.update(gram.tobytes() + level.tobytes() + np.float64(own).tobytes())
volume, volatility = 1e6 * np.exp(x)[:, None], 0.01 * np.abs(x)[:, None]
charged = book_kernel._impact(np.abs(x), 1e6, volume, volatility, 0, 0.5)
total.update(np.array([book_kernel._sum(x), charged]).tobytes())
print(json.dumps({"parts": total.hexdigest()}))
"""
FACES = """
import hashlib, json, warnings
import numpy as np
import pandas as pd
from quantlab.backtest import CostModel, run_backtest, sweep_returns
from quantlab.cointegration import (
    gregory_hansen,
    half_life,
    kalman_hedge_ratio,
    screen_johansen,
    screen_pairs,
)
from quantlab.factors import evaluate_factor, rolling_beta
from quantlab.validation import (
    model_confidence_set,
    probability_of_backtest_overfitting,
    superior_predictive_ability,
)
from quantlab.volatility import dcc, fit_garch_panel, markov_regimes, rolling_garch

rng = np.random.default_rng(1)
days, names = pd.bdate_range("2015-01-01", periods=403), [f"a{k}" for k in range(7)]
noise = 0.01 * rng.standard_t(5, (403, 7)) * np.exp(0.3 * rng.standard_normal((403, 1)))
returns = pd.DataFrame(noise + 0.005 * rng.standard_normal((403, 1)), index=days, columns=names)
prices = returns.cumsum()
prices["a1"] = prices["a0"] + 0.02 * returns["a1"].ewm(span=5).mean()
market, volume = returns.mean(axis=1), 1e6 * np.exp(prices)
signal = returns.rolling(3).mean().rank(axis=1)
weights = signal.sub(signal.mean(axis=1), axis=0).div(12).fillna(0.0)
costs = CostModel(
    commission_bps=1, half_spread_bps=2, impact_coefficient=0.5, borrow_bps_per_year=50
)
book = run_backtest(
    weights, returns, costs=costs, dollar_volume=volume, capital=1e5, periods_per_year=252
)
positions = pd.DataFrame({f"p{k}": np.sign(market.rolling(k).sum()) for k in range(2, 40)}).fillna(
    0.0
)
swept = sweep_returns(
    positions,
    market.rename("m"),
    costs=costs,
    dollar_volume=volume["a0"],
    capital=1e5,
    periods_per_year=252,
)
evaluated = evaluate_factor(
    signal, {1: returns.shift(-1), 5: returns.rolling(5).sum().shift(-5)}, quantiles=3
)
regimes, correlations = markov_regimes(returns["a2"], n_regimes=2), dcc(returns[names[2:5]])
made = {
    "run_backtest": [book.returns, book.costs, book.weights],
    "sweep_returns": [swept],
    "screen_pairs": [
        screen_pairs(prices).table.select_dtypes("number"),
        screen_pairs(prices, lags=2).table.select_dtypes("number"),
    ],
    "screen_johansen": [screen_johansen(prices).table.select_dtypes("number")],
    "kalman_hedge_ratio": [kalman_hedge_ratio(prices["a1"], prices["a0"])],
    "gregory_hansen": [pd.Series([gregory_hansen(prices["a1"], prices["a0"]).statistic])],
    "half_life": [pd.Series([half_life(prices["a1"] - prices["a0"]).half_life])],
    "evaluate_factor": [
        evaluated.ic,
        evaluated.quantile_returns,
        evaluated.turnover,
        evaluated.rank_autocorrelation,
    ],
    "rolling_beta": [rolling_beta(returns, market, window=60)],
    "pbo": [pd.Series(probability_of_backtest_overfitting(swept, n_blocks=10).logits)],
    "spa": [
        pd.Series(
            [
                superior_predictive_ability(
                    0 * market, -swept, block_size=5, n_resamples=200, seed=1
                ).pvalue_consistent
            ]
        )
    ],
    "mcs": [model_confidence_set(-swept, block_size=5, n_resamples=200, seed=1).pvalues],
    "fit_garch_panel": [fit_garch_panel(returns).select_dtypes("number")],
    "rolling_garch": [rolling_garch(returns[["a0", "a1"]], window=250, refit_every=50).forecast],
    "markov_regimes": [regimes.filtered],
    "dcc": [correlations.params, correlations.conditional_volatility],
}
print(
    json.dumps(
        {
            k: hashlib.sha256(
                b"".join(np.ascontiguousarray(np.asarray(v, dtype=float)).tobytes() for v in x)
            ).hexdigest()
            for k, x in made.items()
        }
    )
)
"""


def _digests(program: str, tmp_path: Path) -> dict[str, dict[str, str]]:
    "What a program prints under each set of instructions; all sets run at once"
    runs = {}
    for name, (cpu, features) in FEATURES.items():
        environment = os.environ | {
            "NUMBA_CPU_NAME": cpu,
            "NUMBA_CPU_FEATURES": features,
            "NUMBA_CACHE_DIR": str(tmp_path / name),
            "PYTHONPATH": str(ROOT),
        }
        runs[name] = subprocess.Popen(
            [sys.executable, "-c", program],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    said = {name: (*run.communicate(), run.returncode) for name, run in runs.items()}
    for _, error, code in said.values():
        assert code == 0, error
    return {name: json.loads(out) for name, (out, _, _) in said.items()}


@pytest.mark.parametrize("program", [PARTS, FACES], ids=["parts", "faces"])
def test_bits_do_not_depend_on_the_instruction_set(program, tmp_path):
    if platform.machine() not in ("x86_64", "AMD64") or not own.get("AVX2"):
        pytest.skip("needs a processor with AVX2")
    found = _digests(program, tmp_path)
    assert found["sse2"] == found["haswell"]


def test_no_kernel_leaves_rounding_to_the_compiler():
    for path in (ROOT / "quantlab").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for word in ("fastmath", "parallel=True", "prange"):
            assert word not in text, f"{path} uses {word}"
