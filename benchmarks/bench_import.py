"""Import of price files beside pandas: one long file, and a folder of a file a name.

python benchmarks/bench_import.py [NAMES [YEARS [FOLDER [alone]]]]

The peer reads with `read_csv` and makes a table a field with `pivot` (of a folder: `concat`), then
writes each as parquet. Ours finds out what the columns are, checks every cell, makes returns,
traded value and intraday moves as well, and writes all of them. CPU seconds, seconds, and
megabytes at the peak beyond what the imports took, each side alone in a fresh process with one
thread. The files lie in FOLDER (default: a temporary one) and are removed. The default is 200
names and 5 years; 3000 and 20 are 15 million rows, 8000 and 20 are 40 million; `alone` leaves
pandas out. No ratio is printed unless the results agree.
"""

import os

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[threads] = "1"

import json  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import pyarrow as pa  # noqa: E402
from pyarrow import csv as arrow_csv  # noqa: E402

from quantlab.data import import_prices  # noqa: E402

FIELDS = {
    "open": "open",
    "high": "high",
    "low": "low",
    "close": "close",
    "adj_close": "prices",
    "volume": "volume",
}
LIMIT = 50_000_000  # values in memory, as the command has it


def tables(n_names, n_years):
    "A table of vendor's columns for each name"
    rng = np.random.default_rng(0)
    days = pd.bdate_range("2000-01-03", periods=252 * n_years).strftime("%Y-%m-%d").to_numpy()
    for number in range(n_names):
        close = np.round(50 * np.exp(rng.normal(0, 0.02, len(days)).cumsum()), 4)
        first = np.round(close * np.exp(rng.normal(0, 0.01, len(days))), 4)
        columns = {
            "date": days,
            "ticker": np.full(len(days), f"N{number:05d}"),
            "open": first,
            "high": np.maximum(first, close),
            "low": np.minimum(first, close),
            "close": close,
            "adj_close": np.round(close * 0.9, 4),
            "volume": rng.integers(1000, 10_000_000, len(days)),
        }
        yield f"N{number:05d}", pa.table(columns)


def write(folder, n_names, n_years):
    "One long file, and a folder of at most 3000 files"
    (folder / "names").mkdir()
    plain = {"quoting_style": "none"}
    with open(folder / "long.csv", "wb") as long:
        for number, (name, table) in enumerate(tables(n_names, n_years)):
            arrow_csv.write_csv(
                table, long, arrow_csv.WriteOptions(include_header=number == 0, **plain)
            )
            if number < 3000:
                one = table.drop_columns(["ticker"])
                path = folder / "names" / f"{name}.csv"
                arrow_csv.write_csv(one, path, arrow_csv.WriteOptions(**plain))


def ours(source, out):
    "Read, recognise, check and write"
    import_prices(source, limit=LIMIT, scratch=out.parent).save(out)


def peer(source, out):
    "What a script does with pandas"
    if source.is_dir():
        files = sorted(source.iterdir())
        read = {f.stem: pd.read_csv(f, index_col="date", parse_dates=True) for f in files}
        frames = {c: pd.concat({n: t[c] for n, t in read.items()}, axis=1) for c in FIELDS}
    else:
        rows = pd.read_csv(source, parse_dates=["date"])
        frames = {c: rows.pivot(index="date", columns="ticker", values=c) for c in FIELDS}
    out.mkdir()
    for column, field in FIELDS.items():
        frames[column].astype(float).to_parquet(out / f"{field}.parquet")


def memory(key):
    "Megabytes of this process (NaN where the system does not tell)"
    status = Path("/proc/self/status")
    text = status.read_text() if status.exists() else ""
    return int(text.split(key + ":")[1].split()[0]) / 1024 if key in text else float("nan")


def alone(side, source, out):
    "CPU seconds, seconds and extra megabytes of one side in a fresh process"
    command = [sys.executable, __file__, "--alone", side, str(source), str(out)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def difference(first, second):
    "Largest relative difference, field by field; infinite where the labels differ"
    worst = 0.0
    for field in FIELDS.values():
        a, b = (pd.read_parquet(folder / f"{field}.parquet") for folder in (first, second))
        if list(a.columns) != list(b.columns) or list(a.index) != list(b.index):
            return float("inf")
        a, b = a.to_numpy(), b.to_numpy()
        if (np.isnan(a) != np.isnan(b)).any():
            return float("inf")
        worst = max(worst, float(np.nanmax(np.abs(a / b - 1))))
    return worst


def report(job, source, folder, with_peer):
    "One row, or a stop where the two disagree"
    cpu, wall, extra = alone("ours", source, folder / f"{job}-ours")
    row = {"job": job, "ours CPU s": cpu, "ours s": wall, "ours MB": extra}
    if with_peer:
        theirs = alone("peer", source, folder / f"{job}-peer")
        off = difference(folder / f"{job}-ours", folder / f"{job}-peer")
        if not off <= 1e-12:
            raise SystemExit(f"{job}: {off:.1e} apart from pandas, beyond 1e-12; no ratio.")
        row |= dict(zip(("pandas CPU s", "pandas s", "pandas MB"), theirs))
        row |= {"CPU ratio": theirs[0] / cpu, "MB ratio": theirs[2] / extra, "difference": off}
    return row


def main():
    if sys.argv[1:2] == ["--alone"]:
        side, source, out = sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4])
        before, cpu, start = memory("VmRSS"), time.process_time(), time.perf_counter()
        {"ours": ours, "peer": peer}[side](source, out)
        spent = time.process_time() - cpu, time.perf_counter() - start
        print(json.dumps([*spent, memory("VmHWM") - before]))
        return
    n_names = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    n_years = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    place = sys.argv[3] if len(sys.argv) > 3 else None
    with tempfile.TemporaryDirectory(dir=place) as temporary:
        folder = Path(temporary)
        write(folder, n_names, n_years)
        size = (folder / "long.csv").stat().st_size / 1e6
        print(
            f"{n_names} names x {n_years} years: {n_names * n_years * 252:,} rows, {size:,.0f} MB"
        )
        rows = [
            report(job, folder / source, folder, "alone" not in sys.argv)
            for job, source in (("long", "long.csv"), ("names", "names"))
        ]
    print(pd.DataFrame(rows).set_index("job").T.to_string(float_format=lambda v: f"{v:.3g}"))


if __name__ == "__main__":
    main()
