"The compiled kernels give the same bits whatever instructions the processor has"

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FEATURES = {
    "sse2": ("generic", "+sse2,-avx,-avx2,-fma"),
    "haswell": ("haswell", "+sse4.2,+avx,+avx2,+fma,+bmi,+bmi2"),
}
PROGRAM = """
import hashlib
import numpy as np
from quantlab.backtest import book
from quantlab.cointegration import screen
from quantlab.volatility import kernel

x, total = np.random.default_rng(0).standard_t(5, 1003), hashlib.sha256()
theta, gradient, matrix = np.array([0.03, 0.05, 0.07, 0.9]), np.empty(4), np.empty((4, 4))
for exact in (False, True):
    kernel._derivatives(x, theta, kernel._presample(x), exact, gradient, matrix)
    total.update(gradient.tobytes() + matrix.tobytes())
total.update(np.array([kernel._loglikelihood(x, theta, 1.1), *kernel._moments(x)]).tobytes())
total.update(kernel._variance_path(x, theta).tobytes())
u, gram, level = x.cumsum(), np.zeros((4, 4)), np.zeros(4)
own = screen._cross_products(u, np.diff(u, prepend=u[0]), 3, gram, level)
total.update(gram.tobytes() + level.tobytes() + np.float64(own).tobytes())
volume, volatility = 1e6 * np.exp(x)[:, None], 0.01 * np.abs(x)[:, None]
charged = book._impact(np.abs(x), 1e6, volume, volatility, 0)
total.update(np.array([book._sum(x), charged]).tobytes())
print(total.hexdigest())
"""


def test_bits_do_not_depend_on_the_instruction_set(tmp_path):
    import platform

    from numpy._core._multiarray_umath import __cpu_features__ as own

    if platform.machine() not in ("x86_64", "AMD64") or not own.get("AVX2"):
        pytest.skip("needs a processor with AVX2")
    found = {}
    for name, (cpu, features) in FEATURES.items():
        environment = os.environ | {
            "NUMBA_CPU_NAME": cpu, "NUMBA_CPU_FEATURES": features,
            "NUMBA_CACHE_DIR": str(tmp_path / name), "PYTHONPATH": str(ROOT),
        }  # fmt: skip
        run = subprocess.run(
            [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True
        )
        found[name] = run.stdout.strip()
    assert found["sse2"] == found["haswell"]


def test_no_kernel_leaves_rounding_to_the_compiler():
    for path in (ROOT / "quantlab").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for word in ("fastmath", "parallel=True", "prange"):
            assert word not in text, f"{path} uses {word}"
