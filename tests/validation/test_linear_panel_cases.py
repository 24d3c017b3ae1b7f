"""The reference cases of regression on panels, each number within its case's tolerance.

Set IMPACT_CASES to the folder that holds ``cases/``. Each of the folder's cases of these families
is run: by the answers written here, or, if it has none, by what can be read from its task.
"""

import json

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from reference import read_case
from scipy import stats
from validation.comparison import differences, numbers
from validation.reading import cases_in_folder, read_answers

from impact import (
    ArellanoBond,
    BeckKatz,
    Between,
    Conley,
    Design,
    DriscollKraay,
    FirstDifference,
    FixedEffects,
    Mundlak,
    NeweyWest,
    Panel,
    PanelIV,
    PoissonFixedEffects,
    PooledOLS,
    RandomEffects,
    TwoWayFixedEffects,
)
from impact.estimators.specification_tests import (
    breusch_pagan_test,
    hausman_test,
    honda_test,
    poolability_test,
)


def pairs(result, names=None):
    """Return {term: {estimate, se}}, terms renamed by ``names``."""
    names = {"constant": "(Intercept)", **(names or {})}
    return {
        names.get(term, term): {"estimate": float(estimate), "se": float(error)}
        for term, estimate, error in zip(
            result.cells["term"], result.estimates, result.std_errors, strict=True
        )
    }


def errors(result, names=None):
    """Return {term: standard error}."""
    return {term: pair["se"] for term, pair in pairs(result, names).items()}


def as_tree(test):
    return {"chi2": test.statistic, "df": test.restrictions, "pvalue": test.p_value}


def jtrain_scrap_fe(frame):
    def fit(estimator, outcome, columns, rows=frame):
        panel = Panel(rows, unit="fcode", time="year")
        return estimator.fit(Design(panel, outcome=outcome, covariates=columns))

    base = ["d88", "d89", "grant", "grant_1"]
    unit = FixedEffects(effects="unit", covariance="classical")
    main = fit(unit, "lscrap", base)
    sales = fit(unit, "lscrap", [*base, "lsales", "lemploy"])
    hours = fit(unit, "hrsemp", [*base, "lemploy"])
    early = frame[frame["year"] <= 1988]
    change = fit(FirstDifference(covariance="classical"), "lscrap", ["grant"], early)
    cluster = fit(FixedEffects(effects="unit", covariance="CR0"), "lscrap", base)
    return {
        "ex14_1": pairs(main),
        "ex14_1_n": main.extra["n_rows"],
        "ex14_1_cluster_HC0": pairs(cluster),
        "c14_lsales": pairs(sales),
        "c14_lsales_n": sales.extra["n_rows"],
        "fd_8788": pairs(change),
        "fd_n": change.extra["n_rows"],
        "hrsemp": pairs(hours),
        "hrsemp_n": hours.extra["n_rows"],
        "ex14_1_exact_percent_effect_grant_1": 100 * np.expm1(pairs(main)["grant_1"]["estimate"]),
    }


def static_grunfeld_baltagi(frame):
    panel = Panel(frame, unit="firm", time="year")
    design = Design(panel, outcome="inv", covariates=["value", "capital"])
    estimators = {
        "pooled": PooledOLS(covariance="classical"),
        "within": FixedEffects(effects="unit", covariance="classical"),
        "between": Between(covariance="classical"),
        "fd": FirstDifference(covariance="classical"),
        "re_swar": RandomEffects(covariance="classical"),
        "re_amemiya": RandomEffects(method="amemiya", covariance="classical"),
        "re_walhus": RandomEffects(method="wallace_hussain", covariance="classical"),
        "re_nerlove": RandomEffects(method="nerlove", covariance="classical"),
        "twoway_within": FixedEffects(covariance="classical"),
        "twoway_re_swar": RandomEffects(effects="two_way", covariance="classical"),
    }
    answers = {name: pairs(estimator.fit(design)) for name, estimator in estimators.items()}
    within = answers["within"]
    left = frame["inv"] - sum(within[x]["estimate"] * frame[x] for x in within)
    components = estimators["re_swar"].fit(design).extra["components"]
    pool = poolability_test(design)
    return {
        **answers,
        "hausman": as_tree(hausman_test(design, robust=False)),
        "poolability_F": {
            "F": pool.statistic,
            "df1": pool.restrictions,
            "df2": pool.df,
            "pvalue": pool.p_value,
        },
        "breusch_pagan_lm_individual": as_tree(breusch_pagan_test(design)),
        "breusch_pagan_lm_twoways": as_tree(breusch_pagan_test(design, "two_way")),
        "honda": {"z": honda_test(design).statistic},
        "fe_firm": left.groupby(frame["firm"]).mean().rename(str).to_dict(),
        "theta_swar": 1 - np.sqrt(components.error / (components.error + 20 * components.unit)),
    }


def static_wagepan(frame):
    years = [f"factor(year){year}" for year in range(1981, 1988)]
    frame = frame.assign(**{f"factor(year){y}": frame["year"] == y for y in range(1981, 1988)})
    frame[years] = frame[years].astype(float)
    panel = Panel(frame, unit="nr", time="year")
    four = ["exper", "expersq", "married", "union"]
    full = [*four, "educ", "black", "hisp", *years]

    def fit(estimator, columns):
        return estimator.fit(Design(panel, outcome="lwage", covariates=columns))

    unit = FixedEffects(effects="unit", covariance="classical")
    random = fit(RandomEffects(covariance="classical"), full)
    parts = random.extra["components"]
    means = {f"{name} (unit mean)": f"{name}_b" for name in four}
    return {
        "pooled": pairs(fit(PooledOLS(covariance="classical"), full)),
        "random_effects": pairs(random),
        "re_variance": {
            "idiosyncratic": parts.error,
            "individual": parts.unit,
            "theta": 1 - np.sqrt(parts.error / (parts.error + 8 * parts.unit)),
        },
        "fixed_effects_ex14_4": pairs(fit(unit, [*four[1:], *years])),
        "fixed_effects": pairs(fit(unit, four)),
        "random_effects_4": pairs(fit(RandomEffects(covariance="classical"), four)),
        "between": pairs(fit(Between(covariance="classical"), four)),
        "first_difference": pairs(fit(FirstDifference(covariance="classical"), four[1:])),
        "hausman": as_tree(
            hausman_test(Design(panel, outcome="lwage", covariates=four), robust=False)
        ),
        "mundlak": pairs(fit(Mundlak(covariance="classical"), four), means),
    }


def se_petersen(frame):
    panel = Panel(frame, unit="firm", time="year")

    def fit(covariance, clusters=None, convention="fixest"):
        design = Design(panel, outcome="y", covariates="x", clusters=clusters)
        return PooledOLS(covariance=covariance, convention=convention).fit(design)

    base = fit("classical")
    year = fit("CR2", "year")
    both = ("firm", "year")
    # fixest's, sandwich's and plm's Driscoll-Kraay differ by their factors alone.
    factor = np.sqrt(10 / 9 * 4999 / 4998)
    order = [1, 0]
    statistic = (year.estimates / year.std_errors)[order]
    freedoms = year.uncertainty.freedoms[order]
    kraay = errors(fit(DriscollKraay(1)))
    return {
        "coef": {term: pair["estimate"] for term, pair in pairs(base).items()},
        "ols": errors(base),
        **{kind: errors(fit(kind)) for kind in ("HC0", "HC1", "HC2", "HC3")},
        "cluster_firm_HC1_cadjust": errors(fit("CR1")),
        "cluster_year_HC1_cadjust": errors(fit("CR1", "year")),
        "twoway_firm_year_HC1_cadjust": errors(fit("CR1", both, "sandwich")),
        "cluster_firm_HC0_nocadjust": errors(fit("CR0")),
        "CR2_firm": errors(fit("CR2")),
        "CR3_firm": errors(fit("CR3")),
        "CR2_year": errors(year),
        "fixest_twoway": errors(fit("CR1", both)),
        "driscoll_kraay_fixest_lag1": kraay,
        "newey_west_panel_fixest_lag1": errors(fit(NeweyWest(1))),
        "driscoll_kraay_plm_maxlag1_HC0": {term: se / factor for term, se in kraay.items()},
        "driscoll_kraay_sandwich_vcovPL_lag1": {
            term: se / factor * np.sqrt(5000 / 4998) for term, se in kraay.items()
        },
        "beck_katz_pcse": errors(fit(BeckKatz())),
        "satterthwaite_CR2_year": {
            "tstat": statistic.tolist(),
            "df": freedoms.tolist(),
            "p": (2 * stats.t.sf(np.abs(statistic), freedoms)).tolist(),
        },
    }


def cr2_mortality_rates(frame):
    panel = Panel(frame, unit="state", time="year")

    def fit(covariance, weights=None, convention="fixest"):
        design = Design(panel, outcome="mrate", covariates=["legal", "beertaxa"], weights=weights)
        return FixedEffects(covariance=covariance, convention=convention).fit(design)

    def answer(result, freedoms=None):
        names = result.cells["term"]
        statistic = np.abs(result.estimates / result.std_errors)
        known = np.full(2, 50.0) if freedoms is None else freedoms
        tree = {
            "estimate": dict(zip(names, result.estimates.tolist(), strict=True)),
            "se": dict(zip(names, result.std_errors.tolist(), strict=True)),
            "p": dict(zip(names, (2 * stats.t.sf(statistic, known)).tolist(), strict=True)),
        }
        if freedoms is not None:
            tree["df"] = dict(zip(names, freedoms.tolist(), strict=True))
        return tree

    plain, weighted = fit("CR2"), fit("CR2", "pop")
    return {
        "CR1": answer(fit("CR1", convention="clubsandwich")),
        "CR2": answer(plain, plain.uncertainty.freedoms),
        "CR2_weighted_pop": answer(weighted, weighted.uncertainty.freedoms),
        "n": plain.extra["n_rows"],
    }


def conley_quakes(frame):
    frame = frame.assign(event=range(len(frame)), year=1)
    panel = Panel(frame, unit="event", time="year")
    design = Design(panel, outcome="depth", covariates="mag")

    def fit(cutoff, distance):
        place = {"latitude": "lat", "longitude": "long", "distance": distance}
        return PooledOLS(covariance=Conley(cutoff, across_periods=True, **place)).fit(design)

    return {
        "c100": errors(fit(100, "plane")),
        "c200": errors(fit(200, "plane")),
        "c100_spherical": errors(fit(100, "spherical")),
        "c200_spherical": errors(fit(200, "spherical")),
        "coef": {term: p["estimate"] for term, p in pairs(fit(100, "plane")).items()},
    }


def iv_answers(result, robust, names):
    table = result.extra["first_stage"].iloc[0]
    test, exogeneity = result.extra["overidentification"], result.extra["exogeneity"]
    return {
        "coef": pairs(result, names),
        "first_stage_F": table["f_nested"],
        "wald_first": table["wald"],
        "sargan": {"stat": test.statistic, "p": test.p_value} if test else None,
        "wu_hausman": {"stat": exogeneity.statistic, "p": exogeneity.p_value},
    }


def iv_cigarettes_sw(frame):
    panel = Panel(frame, unit="state", time="year")
    design = Design(panel, outcome="lp", covariates=["lr", "li"])
    change = {"lr": "fit_dlr", "li": "dli"}
    answers = {}
    for name, instruments in {
        "ld_sales_tax": "tdiff",
        "ld_cig_tax": "rtax",
        "ld_both": ["tdiff", "rtax"],
    }.items():
        iv = PanelIV(endogenous="lr", instruments=instruments, span=1, covariance="HC1")
        answers[name] = iv_answers(iv.fit(design), True, change)
    both = PanelIV(endogenous="lr", instruments=["tdiff", "rtax"]).fit(design)
    return {**answers, "fe2sls": iv_answers(both, True, {"lr": "fit_lr"})}


def iv_jtrain_hrsemp(frame):
    panel = Panel(frame[frame["year"] <= 1988], unit="fcode", time="year")
    design = Design(panel, outcome="lscrap", covariates="hrsemp")
    iv = PanelIV(endogenous="hrsemp", instruments="grant", span=1, covariance="classical")
    fitted = iv.fit(design)
    return {
        "fd_iv": pairs(fitted),
        "fd_iv_n": fitted.extra["n_rows"],
        "fd_ols": pairs(FirstDifference(covariance="classical").fit(design)),
    }


def ppml_trade_gravity(frame):
    frame = frame.assign(pair=frame["Origin"] + "-" + frame["Destination"])
    frame["log(dist_km)"] = np.log(frame["dist_km"])
    panel = Panel(frame, unit="pair", time="Year")
    one = Design(panel, outcome="Euros", covariates="log(dist_km)")
    two = Design(
        panel, outcome="Euros", covariates="log(dist_km)", clusters=("Origin", "Destination")
    )
    three = ("Origin", "Destination", "Year")
    by_year = PoissonFixedEffects(effects=("Origin^Year", "Destination^Year")).fit(one)
    main = PoissonFixedEffects(effects=three).fit(two)
    return {
        "pair_year_fe": pairs(by_year),
        "three_fe_twoway_cluster": pairs(main),
        "three_fe_iid": pairs(PoissonFixedEffects(effects=three, covariance="classical").fit(one)),
        "three_fe_hetero": pairs(PoissonFixedEffects(effects=three, covariance="HC1").fit(one)),
        "loglik": main.extra["log_likelihood"],
        "deviance": main.extra["deviance"],
        "pseudo_r2": main.extra["pseudo_r_squared"],
    }


def gmm_answers(make, design, steps, renamed):
    answers = {}
    for name, covariance in (("robust", "robust"), ("conventional", "plm")):
        result = make(steps=steps, covariance=covariance).fit(design)
        ar = result.extra["ar_tests"]
        answers[f"coef_{name}"] = dict(zip(renamed, pairs(result).values(), strict=True))
        hansen = result.extra["hansen"]
        answers[f"tests_{name}"] = {
            "ar1_z": ar.loc[1, "statistic"],
            "ar1_p": ar.loc[1, "p_value"],
            "ar2_z": ar.loc[2, "statistic"],
            "ar2_p": ar.loc[2, "p_value"],
            "sargan_df": hansen.restrictions,
            "wald_coef": float(
                result.estimates @ np.linalg.solve(result.covariance().to_numpy(), result.estimates)
            ),
        }
        if steps == 2:
            answers[f"tests_{name}"]["sargan_chi2"] = hansen.statistic
            answers[f"tests_{name}"]["sargan_p"] = hansen.p_value
    return {**answers, "n_instruments": result.extra["n_instruments"]}


def gmm_arellano_bond_table4(frame):
    frame = frame.assign(
        **{
            new: np.log(frame[old])
            for new, old in {"n": "emp", "w": "wage", "k": "capital", "ys": "output"}.items()
        }
    )
    firms = frame.groupby("firm")
    for name, lag in (("w", 1), ("k", 1), ("k", 2), ("ys", 1), ("ys", 2)):
        frame[f"{name}.L{lag}"] = firms[name].shift(lag)
    panel = Panel(frame, unit="firm", time="year")
    wide = ["w", "w.L1", "k", "k.L1", "k.L2", "ys", "ys.L1", "ys.L2"]
    narrow = ["w", "w.L1", "k", "ys", "ys.L1"]
    full = Design(panel, outcome="n", covariates=wide)
    short = Design(panel, outcome="n", covariates=narrow)

    def make(**settings):
        return ArellanoBond(lags=2, **settings)

    own = ["lag(log(emp), 1:2)1", "lag(log(emp), 1:2)2"]
    wages = ["lag(log(wage), 0:1)0", "lag(log(wage), 0:1)1"]
    long = [
        *own, *wages, *(f"lag(log(capital), 0:2){j}" for j in range(3)),
        *(f"lag(log(output), 0:2){j}" for j in range(3)),
    ]  # fmt: skip
    brief = [*own, *wages, "log(capital)", "lag(log(output), 0:1)0", "lag(log(output), 0:1)1"]
    main = make().fit(full)
    group = main.extra["difference_in_hansen"].iloc[-1]
    ar = main.extra["ar_tests"]["statistic"]
    printed = {"L1.n": "n.L1", "L2.n": "n.L2"}
    return {
        "roodman2009_a1": {
            "coef": {
                term: [pair["estimate"], pair["se"]] for term, pair in pairs(main, printed).items()
            },
            "n_obs": main.extra["n_rows"],
            "n_groups": main.extra["n_units"],
            "n_instruments": main.extra["n_instruments"],
            "ar1_z": ar[1],
            "ar2_z": ar[2],
            "sargan": [main.extra["sargan"].statistic, 25, main.extra["sargan"].p_value],
            "hansen": [main.extra["hansen"].statistic, 25, main.extra["hansen"].p_value],
            "diff_in_hansen_iv": {
                "excluding": group.iloc[:3].tolist(),
                "difference": group.iloc[3:].tolist(),
            },
        },
        "a1": gmm_answers(make, full, 1, long),
        "a2": gmm_answers(make, full, 2, long),
        "b_twostep": gmm_answers(make, short, 2, brief),
        "b_onestep": gmm_answers(make, short, 1, brief),
    }


def gmm_cigar_dynamic(frame):
    frame = frame.assign(**{"lag(lc)": frame.groupby("state")["lc"].shift(1)})
    panel = Panel(frame, unit="state", time="year")
    columns = ["lp", "lpn", "ly"]
    static = Design(panel, outcome="lc", covariates=["lag(lc)", *columns])
    dynamic = Design(panel, outcome="lc", covariates=columns)
    names = ["lag(lc)", *columns]

    def every(**settings):
        return ArellanoBond(time_effects=False, accept_many_instruments=True, **settings)

    def collapsed(**settings):
        return ArellanoBond(collapse=True, last_instrument_lag=6, **settings)

    return {
        "pooled": pairs(PooledOLS(covariance="classical").fit(static)),
        "twoway_within": pairs(FixedEffects(covariance="classical").fit(static)),
        "diff_gmm_onestep": gmm_answers(every, dynamic, 1, names),
        "diff_gmm_collapsed": gmm_answers(collapsed, dynamic, 1, names),
    }


def did2x2_card_krueger(frame):
    frame = frame.assign(
        fte1=frame["empft"] + frame["nmgrs"] + 0.5 * frame["emppt"],
        fte2=frame["empft2"] + frame["nmgrs2"] + 0.5 * frame["emppt2"],
        nj=(frame["state"] == 1).astype(float),
    )
    long = pd.concat(
        [
            frame[["id", "nj"]].assign(wave=1, fte=frame["fte1"], post=0.0),
            frame[["id", "nj"]].assign(wave=2, fte=frame["fte2"], post=1.0),
        ]
    )
    long["treated"] = long["nj"] * long["post"]
    panel = Panel(long, unit="id", time="wave")
    means = Design(panel, outcome="fte", treated="treated", covariates=["nj", "post"])

    def fit(covariance, **settings):
        return pairs(PooledOLS(covariance=covariance, **settings).fit(means))["treated"]

    cells = long.dropna(subset="fte").groupby(["post", "nj"])["fte"].agg(["mean", "sem"])
    both = long[long["id"].isin(frame.loc[frame[["fte1", "fte2"]].notna().all(axis=1), "id"])]
    change = FirstDifference(covariance="classical").fit(
        Design(Panel(both, unit="id", time="wave"), outcome="fte", treated="treated")
    )
    return {
        "cell_means": [
            {"nj": nj, "post": post, "mean": row["mean"], "se": row["sem"]}
            for (post, nj), row in cells.iterrows()
        ],
        "did_means": {
            "estimate": fit("classical")["estimate"],
            "se_cells": float(np.sqrt((cells["sem"] ** 2).sum())),
            "se_ols": fit("classical")["se"],
            "se_cluster_store": fit("CR1")["se"],
        },
        "balanced": {**pairs(change)["treated"], "n": change.extra["n_rows"]},
        "table4": card_krueger_table4(frame),
    }


def card_krueger_table4(frame):
    """Regressions of the change in employment across stores."""
    closed = frame["wage_st2"].notna() | (frame["status2"] == 3)
    known = frame[["fte1", "fte2", "wage_st"]].notna().all(axis=1)
    sample = frame[known & closed].copy()
    sample["change"] = sample["fte2"] - sample["fte1"]
    gap = np.maximum(0, (5.05 - sample["wage_st"]) / sample["wage_st"])
    sample["gap"] = np.where(sample["nj"] == 1, gap, 0.0)
    for chain in (2, 3, 4):
        sample[f"chain{chain}"] = (sample["chain"] == chain).astype(float)
    sample["wave"] = 1
    controls = ["chain2", "chain3", "chain4", "co_owned"]
    regions = ["centralj", "southj", "pa1", "pa2"]
    columns = {
        "i_nj": ["nj"],
        "ii_nj_controls": ["nj", *controls],
        "iii_gap": ["gap"],
        "iv_gap_controls": ["gap", *controls],
        "v_gap_controls_regions": ["gap", *controls, *regions],
    }
    answers = {}
    for name, names in columns.items():
        panel = Panel(sample, unit="id", time="wave")
        design = Design(panel, outcome="change", covariates=names)
        fitted = PooledOLS(covariance="classical").fit(design)
        answers[name] = {**pairs(fitted)[names[0]], "n": fitted.extra["n_rows"]}
    return answers


def did2x2_kielmc(frame):
    frame = frame.assign(
        house=range(len(frame)),
        treated=frame["nearinc"] * frame["y81"],
        log_price=np.log(frame["price"]),
    )
    panel = Panel(frame, unit="house", time="year")
    more = ["age", "agesq"]
    columns = {
        "no_controls": ("rprice", []),
        "age": ("rprice", more),
        "full": ("rprice", [*more, "intst", "land", "area", "rooms", "baths"]),
        "log_price": ("log_price", []),
    }
    answers = {}
    for name, (outcome, controls) in columns.items():
        design = Design(panel, outcome=outcome, covariates=["treated", "nearinc", "y81", *controls])
        classical = pairs(PooledOLS(covariance="classical").fit(design))["treated"]
        robust = pairs(PooledOLS(covariance="HC1").fit(design))["treated"]
        answers[name] = {**classical, "se_HC1": robust["se"]}
    return answers


def twfe_castle(frame):
    panel = Panel(frame, unit="sid", time="year")

    def fit(weights, treatment="post", **settings):
        role = {"treated": "post"} if treatment == "post" else {
            "cohort": "effyear", "never_treated": 0}  # fmt: skip
        design = Design(panel, outcome="l_homicide", weights=weights, **role)
        return TwoWayFixedEffects(accept_forbidden_comparisons=True, **settings).fit(design)

    def study(weights):
        result = fit(weights, "cohort", effect="event_study")
        names = {f"event_time {e}": f"rel::{e}" for e in range(-20, 20)}
        return pairs(result, names)

    name = {"att": "post"}
    return {
        "weighted": pairs(fit("popwt"), name),
        "unweighted": pairs(fit(None), name),
        "event_study_weighted": study("popwt"),
        "event_study_unweighted": study(None),
        "state_trends_weighted": pairs(fit("popwt", trends=True), name),
    }


def twfe_organ_donations(frame):
    panel = Panel(frame, unit="State", time="Quarter_Num")
    design = Design(panel, outcome="Rate", treated="Treated")
    study = TwoWayFixedEffects(effect="event_study").fit(design)
    names = {f"event_time {e}": f"Quarter_Num::{e + 4}:ca" for e in range(-3, 3)}
    return {
        "twfe": pairs(TwoWayFixedEffects().fit(design), {"att": "Treated"}),
        "event_study": pairs(study, names),
    }


PLM_SARGAN = "plm normalises its one-step statistic its own way; the case says not to score it"
PRINTED = {
    # Printed with 7 digits from data in single precision.
    "roodman2009_a1.coef": 1e-5,
    "roodman2009_a1.ar": 0.01,
    "roodman2009_a1.sargan[0]": 0.01,
    "roodman2009_a1.sargan": 0.001,
    "roodman2009_a1.hansen[0]": 0.01,
    "roodman2009_a1.hansen": 0.001,
    "roodman2009_a1.diff_in_hansen_iv.excluding[0]": 0.01,
    "roodman2009_a1.diff_in_hansen_iv.difference[0]": 0.01,
    "roodman2009_a1.diff_in_hansen_iv": 0.001,
}
CASES = {
    "jtrain_scrap_fe": (jtrain_scrap_fe, {}),
    "static_grunfeld_baltagi": (static_grunfeld_baltagi, {}),
    "static_wagepan": (static_wagepan, {}),
    "se_petersen": (
        se_petersen,
        {"twoway_multi0": "Petersen's own mixture: the interaction without any adjustment"},
    ),
    "cr2_mortality_rates": (
        cr2_mortality_rates,
        {"wald_legal_beertaxa": "small-sample Wald tests of several coefficients are not offered"},
    ),
    "conley_quakes": (conley_quakes, {}),
    "iv_cigarettes_sw": (iv_cigarettes_sw, {}),
    "iv_jtrain_hrsemp": (iv_jtrain_hrsemp, {}),
    "ppml_trade_gravity": (ppml_trade_gravity, {}),
    "gmm_arellano_bond_table4": (
        gmm_arellano_bond_table4,
        {
            "roodman2009_a1.coef.yr": "period effects are included and not printed",
            **{
                f"{model}.tests_{kind}.sargan_{what}": PLM_SARGAN
                for model in ("a1", "b_onestep")
                for kind in ("robust", "conventional")
                for what in ("chi2", "p")
            },
        },
    ),
    "gmm_cigar_dynamic": (
        gmm_cigar_dynamic,
        {
            f"{model}.tests_{kind}.sargan_{what}": PLM_SARGAN
            for model in ("diff_gmm_onestep", "diff_gmm_collapsed")
            for kind in ("robust", "conventional")
            for what in ("chi2", "p")
        },
    ),
    "did2x2_card_krueger": (did2x2_card_krueger, {}),
    "did2x2_kielmc": (did2x2_kielmc, {}),
    "twfe_castle": (twfe_castle, {}),
    "twfe_organ_donations": (twfe_organ_donations, {}),
}


@pytest.mark.parametrize("name", sorted({*CASES, *cases_in_folder()}))
def test_case(reference_case, name):
    """Every number of a case that has answers above; of another, those that can be read."""
    case, frame = reference_case(name)
    if name in CASES:
        answer, explained = CASES[name]
        assert differences(answer(frame), case, explained, PRINTED) == []
        return
    unread = check_what_is_read(case, frame)
    if unread:
        pytest.skip(unread)


@pytest.mark.parametrize("name", cases_in_folder() or sorted(CASES))
def test_known_cases_read_without_their_answers(reference_case, name):
    check_what_is_read(*reference_case(name))


def check_what_is_read(case, frame):
    """Compare what a case says in words that can be read; return what cannot be."""
    answers = read_answers(case, frame)
    given = dict(numbers(answers))
    every = dict(numbers(case["reference"]))
    unread = [path for path in every if path not in given]
    assert differences(answers, case, dict.fromkeys(unread, "unread")) == []
    if not unread:
        return ""
    variants = ", ".join(dict.fromkeys(path.split(".")[0].split("[")[0] for path in unread))
    return (
        f"{len(every) - len(unread)} of {len(every)} numbers read from the task and equal; no "
        f"answers are written for {variants}"
    )


def test_a_folder_with_an_unknown_case(tmp_path, monkeypatch):
    """Grunfeld's data with numbers that Baltagi prints, in the format of a case."""
    frame = sm.datasets.grunfeld.load_pandas().data
    frame = frame[frame["firm"] != "American Steel"]
    place = tmp_path / "cases" / "new_case"
    place.mkdir(parents=True)
    frame.to_csv(place / "data.csv", index=False)
    case = {
        "name": "new_case",
        "family": "static_panel",
        "columns": {"unit": "firm", "time": "year"},
        "task": {"model": "invest ~ value + capital", "se": "classical"},
        "reference": {
            "within": {"value": {"estimate": 0.110, "se": 0.012}},
            "re_swar": {"capital": {"estimate": 0.308, "se": 0.017}},
            "twoway_re_amemiya": {"value": {"estimate": 0.111}},
            "hausman": {"chi2": 2.33, "df": 2},
            "an_unusual_estimator": {"value": {"estimate": 1.0}},
        },
        "tolerance": {"estimate": {"atol": 5e-3}, "se": {"atol": 5e-4}},
        "source": {"software": "as printed"},
    }
    (place / "case.json").write_text(json.dumps(case), encoding="utf-8")
    monkeypatch.setenv("IMPACT_CASES", str(tmp_path))
    assert cases_in_folder() == ["new_case"]
    unread = check_what_is_read(*read_case("new_case"))
    assert "7 of 8 numbers read" in unread
    assert "for an_unusual_estimator" in unread
    case["reference"]["within"]["value"]["estimate"] = 0.2
    (place / "case.json").write_text(json.dumps(case), encoding="utf-8")
    with pytest.raises(AssertionError, match="within.value.estimate: 0.110"):
        check_what_is_read(*read_case("new_case"))
