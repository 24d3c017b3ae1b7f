"""Price indices against the published rates, and the break of 2010."""

import numpy as np
import pandas as pd
import pytest

from impact import prices
from impact.errors import PriceError

PRINTED = 5e-5  # levels are stored with four decimals


def test_consumer_prices_give_back_the_published_yearly_rates():
    index = prices.consumer_prices()
    published = {2008: 23.1154, 2011: 18.6777, 2015: 0.6312, 2020: 3.2209, 2024: 3.6211}
    for year, rate in published.items():
        growth = index.factors(year - 1, base=year)
        assert 100 * (growth - 1) == pytest.approx(rate, abs=100 * PRINTED)
    assert index.factors(2020, base=2020) == 1.0


def test_real_amounts_by_hand():
    index = prices.PriceIndex("test", pd.Series({2020: 100.0, 2021: 110.0, 2022: 121.0}), "made up")
    assert index.real([100, 110, 121], [2020, 2021, 2022], base=2020).tolist() == pytest.approx(
        [100.0, 100.0, 100.0]
    )
    assert index.real([[100.0], [110.0]], [[2020], [2021]], base=2022).shape == (2, 1)


def test_round_trip_between_bases():
    index = prices.consumer_prices()
    years = np.arange(2005, 2025)
    there = index.factors(years, base=2010)
    back = index.factors(np.full(20, 2010), base=2020)
    np.testing.assert_allclose(there * back, index.factors(years, base=2020), rtol=1e-12)


def test_the_deflator_is_not_chained_across_2010():
    deflator = prices.gdp_deflator()
    with pytest.raises(PriceError, match="breaks in 2010: 2 amounts of 2008, 2009 cannot"):
        deflator.factors([2008, 2009, 2012], base=2020)
    with pytest.raises(PriceError, match="breaks in 2010"):
        deflator.factors(2015, base=2009)
    assert deflator.factors(2008, base=2009) == pytest.approx(1.062156, abs=PRINTED)
    assert deflator.factors(2011, base=2012) == pytest.approx(1.090777, abs=PRINTED)


def test_years_outside_are_refused():
    with pytest.raises(PriceError, match=r'"consumer prices" covers 2005 to 2024; 2004, 2026 are'):
        prices.consumer_prices().factors([2004, 2020, 2026], base=2020)
    with pytest.raises(PriceError, match="2030 is outside"):
        prices.consumer_prices().factors(2020, base=2030)


def test_real_columns_are_named_and_never_deflated_twice():
    frame = pd.DataFrame({"year": [2012, 2024], "support": [100.0, 100.0]})
    index = prices.consumer_prices()
    deflated = index.add_real(frame, "support", year="year", base=2024)
    assert deflated.columns.to_list() == ["year", "support", "support_real_2024"]
    assert deflated["support_real_2024"].iloc[0] == pytest.approx(146.52, abs=0.01)
    assert "support_real_2024" not in frame
    with pytest.raises(PriceError, match="real by its name"):
        index.add_real(deflated, "support_real_2024", year="year", base=2020)
    with pytest.raises(PriceError, match='"year" is missing in 1 row'):
        index.add_real(frame.assign(year=[2012, None]), "support", year="year", base=2020)


def test_refusals_of_tables_that_do_not_match():
    index = prices.consumer_prices()
    with pytest.raises(PriceError, match="2 amounts and 3 years do not match"):
        index.real([1.0, 2.0], [2019, 2020, 2021], 2020)
    assert index.real([1.0, 2.0], 2020, 2020).tolist() == [1.0, 2.0]
    frame = pd.DataFrame({"money": [1.0], "year": [2019]})
    with pytest.raises(PriceError, match='no column mony. Did you mean "money"'):
        index.add_real(frame, "mony", year="year", base=2020)


@pytest.mark.parametrize(
    ("levels", "words"),
    [
        (
            pd.Series([1.0, -1.0], index=[2000, 2001]),
            "the level of 2001 is not a number above zero",
        ),
        (pd.Series([1.0, np.nan], index=[2000, 2001]), "the level of 2001 is not a number above"),
        (pd.Series(["a", 1.0], index=[2000, 2001]), "the level of 2000 is not a number above zero"),
        (pd.Series([1.0, 2.0], index=[2000, 2000]), "indexed by year, each whole and once.* 2000"),
        (
            pd.Series([1.0, 2.0], index=["a", 2000]),
            "indexed by year, each whole and once.* a",
        ),
        (pd.Series([1.0], index=[2000.5]), "indexed by year, each whole and once.* 2000.5"),
        (pd.Series(dtype=float), "the index holds nothing"),
    ],
)
def test_indices_without_prices_are_refused(levels, words):
    with pytest.raises(PriceError, match=words):
        prices.PriceIndex("made up", levels, "test")


def test_years_and_amounts_written_as_text():
    index = prices.PriceIndex("test", pd.Series({"2020": "100", "2021": "110"}), "made up")
    assert index.real(["2.5"], ["2020"], "2021")[0] == pytest.approx(2.75)
    assert np.isnan(index.real([np.nan], [2020], 2021)[0])
    with pytest.raises(PriceError, match="1 amount is no number, first 1,5. .* decimal=','"):
        index.real(["1,5", 2.0], [2020, 2021], 2021)
    with pytest.raises(PriceError, match="covers 2020 to 2021; nan is outside"):
        index.real([1.0], ["sau"], 2021)
    with pytest.raises(PriceError, match="is outside"):
        index.real([1.0], pd.to_datetime(["2020-01-01"]), 2021)
