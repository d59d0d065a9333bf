"""Names that end, change their name or begin late; known truth."""

import numpy as np
import pandas as pd
import pytest

from quantlab.data import Panel, find_endings, survivorship_sentence
from quantlab.errors import SpecificationError

N = 400


def ragged(seed, n_names=40, *, with_volume=True):
    "Names that fail (a tenth), are renamed (a tenth) or begin late (a tenth), and the truth"
    rng = np.random.default_rng(seed)
    days = pd.bdate_range("2018-01-01", periods=N)
    names = [f"S{i:02d}" for i in range(n_names)]
    walk = np.exp(np.cumsum(rng.normal(0, 0.02, (N, n_names)), axis=0))
    prices = pd.DataFrame(rng.uniform(10, 200, n_names) * walk, days, names)
    level = rng.normal(17, 1.5, n_names)
    value = pd.DataFrame(np.exp(level + rng.normal(0, 0.3, (N, n_names))), days, names)
    order, part = rng.permutation(n_names), n_names // 10
    failed, old, new, late = (order[k * part : (k + 1) * part] for k in range(4))
    for j in failed:
        prices.iloc[int(rng.integers(100, N - 20)) :, j] = np.nan
    renamed = {}
    for e, b in zip(old, new):
        t, apart = int(rng.integers(100, N - 60)), int(rng.integers(1, 4))
        prices.iloc[t + apart :, b] *= prices.iloc[t, e] / prices.iloc[t + apart, b]
        value.iloc[:, b] *= np.exp(level[e] - level[b])
        prices.iloc[t + 1 :, e], prices.iloc[: t + apart, b] = np.nan, np.nan
        renamed[names[e]] = names[b]
    for j in late:
        prices.iloc[: int(rng.integers(20, 200)), j] = np.nan
    fields = {"prices": prices}
    if with_volume:
        fields["dollar_volume"] = value.where(prices.notna())
    pick = lambda at: {names[j] for j in at}
    return Panel(fields), pick(failed), renamed, pick(late)


@pytest.mark.parametrize("with_volume", [True, False])
def test_endings_and_renames_of_a_known_world(with_volume):
    right = wrong = asked = 0
    for seed in range(20):
        panel, failed, renamed, late = ragged(seed, with_volume=with_volume)
        found = find_endings(panel)
        of = lambda kind, table=found: table[table["kind"] == kind]
        assert set(of("ends")["asset"]) == failed | set(renamed)
        assert set(of("begins_late")["asset"]) == late | set(renamed.values())
        pairs = dict(zip(of("renamed")["asset"], of("renamed")["other"]))
        asked += len(renamed)
        right += sum(renamed.get(old) == new for old, new in pairs.items())
        wrong += sum(renamed.get(old) != new for old, new in pairs.items())
        ends = of("ends").set_index("asset")
        for name, row in ends.iterrows():
            last = panel.prices[name].last_valid_index()
            assert row["date"] == last and row["price"] == panel.prices.loc[last, name]
            assert row["rows"] == N - 1 - panel.index.get_loc(last)
            np.testing.assert_allclose(row["last_return"], panel.returns.loc[last, name])
    assert right == asked and wrong <= 1, (right, wrong, asked)


def test_a_price_carried_on_is_no_life():
    panel, *_ = ragged(1)
    prices = panel.prices
    j = int(np.flatnonzero(prices.notna().all())[0])
    prices.iloc[300:, j] = prices.iloc[299, j]
    found = find_endings(Panel({"prices": prices}))
    (row,) = found[found["kind"] == "stops_moving"].to_dict("records")
    assert row["asset"] == prices.columns[j] and row["date"] == prices.index[299]
    assert "carried on" in row["evidence"] and row["rows"] == N - 300
    assert not (
        find_endings(Panel({"prices": prices}), still_rows=200)["kind"] == "stops_moving"
    ).any()
    returns = Panel({"returns": Panel({"prices": prices}).returns.iloc[1:]})  # without any level
    assert (find_endings(returns)["kind"] == "stops_moving").sum() == 1


def test_late_data_are_no_endings():
    panel, *_ = ragged(2)
    prices = panel.prices.loc[:, panel.prices.notna().all()]
    prices.iloc[-4:, 0] = np.nan
    assert find_endings(Panel({"prices": prices})).empty
    assert list(find_endings(Panel({"prices": prices}), grace=4)["rows"]) == [4]


def test_the_sentence_on_survivors():
    panel, failed, renamed, late = ragged(3)
    text = survivorship_sentence(panel, find_endings(panel))
    assert text.startswith(f"{len(failed)} of 40 names end before the panel does")
    assert f"({len(renamed)} more may have changed their name)" in text
    assert f"{len(late) + len(renamed)} of 40 begin after it does" in text
    alive = panel.select(panel.columns[panel.prices.notna().all()])
    text = survivorship_sentence(alive, find_endings(alive))
    assert text.startswith("no name of this panel ever ends: it holds survivors only")


def test_bad_input_ends_in_one_sentence():
    panel, *_ = ragged(0)
    for option in (
        {"grace": 0}, {"still_rows": 1}, {"rename_rows": 0.5}, {"price_tolerance": -1},
        {"volume_tolerance": "high"},
    ):  # fmt: skip
        with pytest.raises(SpecificationError, match=next(iter(option))):
            find_endings(panel, **option)
    with pytest.raises(SpecificationError, match="must be a Panel"):
        find_endings(panel.prices)
    with pytest.raises(SpecificationError, match="that `find_endings` gives"):
        survivorship_sentence(panel, None)


def test_a_panel_with_a_name_without_any_value():
    panel, *_ = ragged(0)
    empty = panel.prices.assign(NONE=np.nan)
    pd.testing.assert_frame_equal(
        find_endings(Panel({"prices": empty})), find_endings(Panel({"prices": panel.prices}))
    )
