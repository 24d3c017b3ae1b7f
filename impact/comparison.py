"""Fit several estimators to one design and test whether their answers differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args, get_type_hints

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact import plots, tables
from impact.coefficient_table import CoefficientTable
from impact.design import Design
from impact.errors import DesignError, EstimationError, check_choice, listing, plural
from impact.estimators import estimator_class
from impact.estimators.base import Estimator
from impact.inference import bands
from impact.result import CELL_COLUMNS, JointTest, Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Comparison", "compare"]

Floats = NDArray[np.float64]

USUAL = (
    "CallawaySantAnna",
    "Imputation",
    "TwoStage",
    "SunAbraham",
    "ExtendedTWFE",
    "StackedDiD",
    "LocalProjectionDiD",
)
"""Estimators compared where none are named."""

Controls = Literal["not_yet_treated", "never_treated"]

ALIGNED = {"base_period": "universal", "weighting": "equal"}
"""Settings of estimators that are named, not made, where they have them: one base, one weight."""

LAST_BEFORE = "last period before treatment"
ALL_UNTREATED = "all untreated periods"

AVERAGE = "average"
"""Label of the average over the periods after treatment that all estimators share."""

ALWAYS = ("estimator", "term", "estimate", "std_error", "p_value", "conf_low", "conf_high")
TIDY_COLUMNS = (*ALWAYS[:2], "event_time", *ALWAYS[2:], "inference")
DIFFERENCE_COLUMNS = ("difference", "std_error", "statistic", "p_value", "note")

NEGLIGIBLE = 1e-9
"""A difference, or its standard error, relative to the estimate's, that is rounding alone."""

COLOURS = ("#1d4e89", "#c8553d", "#2f7d5b", "#7a4b94", "#b8860b", "#4a6572", "#a23b72", "#5b8c5a")
MARKERS = "osD^vPX*"


def compare(
    source: Design | Sequence[Result],
    estimators: Sequence[Estimator | str | type[Estimator]] | None = None,
    *,
    comparison: Controls = "not_yet_treated",
    complete_units: bool = False,
) -> Comparison:
    """Compare estimators on one design, or results that already exist.

    Parameters
    ----------
    source : a design, to which the estimators are fitted, or results on the same outcome
    estimators : estimators, with a design: objects, classes or names; the usual ones for
        staggered adoption if None. Those whose requirements the design does not meet are left
        out, with the reason in ``skipped``. The first one fitted is what others are compared with
    comparison : who estimators given by class or name compare with, where they leave a choice;
        they also measure from the last period before treatment and weigh cohorts by size, where
        they leave a choice. Objects keep their own settings. ``alignment()`` shows what each did
    complete_units : keep the units observed in every period only, so that all estimators use the
        same rows; in a panel with gaps each has its own rule otherwise

    Raises
    ------
    DesignError : neither a design nor results; estimators named beside results; results of
        different outcomes
    EstimationError : no estimator can be fitted, or no unit is observed in every period

    Example
    -------
    >>> comparison = compare(design)                                  # doctest: +SKIP
    >>> comparison.plot()                                             # doctest: +SKIP
    """
    check_choice("comparison", comparison, get_args(Controls))
    if isinstance(source, Design):
        design = _complete(source) if complete_units else source
        return _fit_all(design, USUAL if estimators is None else estimators, comparison)
    results = list(source) if isinstance(source, Sequence) else []
    if not results or not all(isinstance(result, Result) for result in results):
        raise DesignError(
            f"compare takes a Design or a list of Results; this is {type(source).__name__}. "
            "Write compare(design) or compare([one_result, another])."
        )
    if estimators is not None:
        raise DesignError("estimators are named only where a design is given to fit them to.")
    outcomes = sorted({result.design.outcome for result in results})
    if len(outcomes) > 1:
        raise DesignError(
            f"these results are about different outcomes ({listing(outcomes)}), whose effects do "
            "not compare. Compare results of one outcome."
        )
    return _checked(Comparison(tuple(results)))


def _checked(comparison: Comparison) -> Comparison:
    """Make sure that effects of treatment, if these are, have an average to compare."""
    if comparison.has_effects:
        _ = comparison.averages
    return comparison


def _complete(design: Design) -> Design:
    """Keep the units of a design that are observed in every period."""
    if design.is_balanced:
        return design
    complete = np.asarray(~np.isnan(design.outcomes).any(axis=1))
    if not complete.any():
        raise EstimationError(
            f"none of the {plural(design.n_units, 'unit')} is observed in all "
            f"{len(design.periods)} periods, so complete_units=True leaves nobody to compare on. "
            "Leave it out, or drop sparse periods."
        )
    return replace(design, panel=design.sample.select(complete[design.sample.unit_codes]))


def _aligned(kind: type[Estimator], comparison: Controls) -> Estimator:
    """Make an estimator with the shared settings that it has."""
    hints = get_type_hints(kind)
    shared = {**ALIGNED, "comparison": comparison}
    return kind(
        **{
            setting.name: shared[setting.name]
            for setting in fields(kind)  # type: ignore[arg-type]
            if shared.get(setting.name) in get_args(hints[setting.name])
        }
    )


def _fit_all(
    design: Design,
    estimators: Sequence[Estimator | str | type[Estimator]],
    comparison: Controls,
) -> Comparison:
    results: list[Result] = []
    skipped: dict[str, str] = {}
    for given in estimators:
        made = estimator_class(given) if isinstance(given, str) else given
        estimator = made if isinstance(made, Estimator) else _aligned(made, comparison)
        try:
            result = estimator.fit(design)
            if _event_study(result) is None:
                _ = _one_effect(result)
            results.append(result)
        except (DesignError, EstimationError) as error:
            skipped[repr(estimator)] = str(error)
    if not results:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in skipped.items())
        raise EstimationError(f"no estimator can be fitted to this design. {reasons}")
    return _checked(Comparison(tuple(results), skipped))


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """Several estimators' answers to one question, side by side.

    Attributes
    ----------
    results : what was fitted; the first is the reference
    skipped : estimators left out, by how they print, with the reason
    """

    results: tuple[Result, ...]
    skipped: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Name of each result, with the settings that tell namesakes apart."""
        names = [result.estimator for result in self.results]
        return tuple(
            name if names.count(name) == 1 else f"{name} {_distinct(result, self.results)}"
            for name, result in zip(names, self.results, strict=True)
        )

    @cached_property
    def studies(self) -> list[Result | None]:
        """Event study of each result; None where it holds one effect only."""
        return [_event_study(result) for result in self.results]

    @cached_property
    def common_event_times(self) -> tuple[float, ...]:
        """Event times from 0 on at which every event study has an estimate."""
        shared: set[float] | None = None
        for study in self.studies:
            if study is not None:
                known = study.cells["event_time"][~np.isnan(study.std_errors)]
                times = {float(e) for e in known if e >= 0}
                shared = times if shared is None else shared & times
        return tuple(sorted(shared or ()))

    @cached_property
    def averages(self) -> list[Result]:
        """Mean of each result's effects over the event times from 0 on that all share."""
        return [
            _one_effect(result) if study is None else _mean_over(study, self.common_event_times)
            for result, study in zip(self.results, self.studies, strict=True)
        ]

    def tidy(self, level: float = 0.95) -> pd.DataFrame:
        """Return all estimates as rows: estimator, term, event_time, estimate, std_error, ...

        The term "average" is the mean over the event times from 0 on that all event studies
        share, or the one effect of an estimator without event study. ``inference`` names the
        method where another than the estimator's own gives p-values and sets; ``std_error`` is
        NaN where that method has none.
        """
        parts = []
        for label, study, average in zip(self.labels, self.studies, self.averages, strict=True):
            frames = [average.tidy(level).assign(term=AVERAGE)]
            if study is not None:
                own = study.tidy(level)
                frames.append(own.assign(term=[f"{e:g}" for e in own["event_time"]]))
            for frame in frames:
                parts.append(frame.assign(estimator=label))
        table = pd.concat([part.dropna(axis=1, how="all") for part in parts], ignore_index=True)
        return table.reindex(columns=[c for c in TIDY_COLUMNS if c in table or c in ALWAYS])

    def table(self) -> pd.DataFrame:
        """Return estimates with standard errors, one row a term, two columns an estimator."""
        long = self.tidy()
        order = [AVERAGE, *sorted(set(long["term"]) - {AVERAGE}, key=float)]
        wide = long.pivot(index="term", columns="estimator", values=["estimate", "std_error"])
        wide = wide.swaplevel(axis=1).reindex(index=order)
        columns = [(label, what) for label in self.labels for what in ("estimate", "std_error")]
        return wide.reindex(columns=pd.MultiIndex.from_tuples(columns))

    def differences(self) -> pd.DataFrame:
        """Return each estimator's estimates less the first one's, with tests.

        Standard errors come from the difference of the two estimators' contributions by cluster,
        so that what they share cancels; p-values are from t(G-1). They are NaN, with a note,
        where an estimator has no contributions or the two used other clusters.
        """
        rows: list[dict[str, object]] = []
        first, base = self.studies[0], self.averages[0]
        for label, study, average in list(
            zip(self.labels, self.studies, self.averages, strict=True)
        )[1:]:
            head = {"estimator": label, "term": AVERAGE}
            rows.append({**head, **_difference(average, base, 0, 0)})
            if study is None or first is None:
                continue
            for e, mine, theirs in _matching(study, first):
                head = {"estimator": label, "term": f"{e:g}"}
                rows.append({**head, **_difference(study, first, mine, theirs)})
        return pd.DataFrame(
            rows,
            columns=[
                "estimator",
                "term",
                "difference",
                "std_error",
                "statistic",
                "p_value",
                "note",
            ],
        )

    def joint_tests(self) -> dict[str, JointTest]:
        """Test, for each estimator but the first, that all shared effects after treatment agree."""
        tests: dict[str, JointTest] = {}
        first = self.studies[0]
        for label, study in list(zip(self.labels, self.studies, strict=True))[1:]:
            if study is None or first is None:
                continue
            pairs = [pair for pair in _matching(study, first) if pair[0] >= 0]
            values, psi = _joint(study, first, pairs)
            if psi is None or not pairs:
                continue
            sizes = np.minimum(np.sqrt(np.einsum("gk,gk->k", psi, psi)), np.abs(values))
            live = sizes > NEGLIGIBLE * study.std_errors[[pair[1] for pair in pairs]]
            if live.any():
                matrix = psi[:, live].T @ psi[:, live]
                df = _df(study)
                statistic, rank, p_value = bands.joint_wald(values[live], matrix, df=df)
                question = f"{label} and {self.labels[0]} agree after treatment"
                tests[label] = JointTest(question, statistic, rank, p_value, df)
        return tests

    def alignment(self) -> pd.DataFrame:
        """Return how each estimator got its numbers, one row an estimator.

        Columns are estimator, measured_from (the base period), compared_with, cohorts_weighted_by,
        weights (the design's column), rows and n_treated (units behind the effect in the first
        period of treatment).
        """
        rows = []
        for label, result, study in zip(self.labels, self.results, self.studies, strict=True):
            rows.append(
                {
                    "estimator": label,
                    "measured_from": _measured_from(result),
                    "compared_with": _compared_with(result),
                    "cohorts_weighted_by": _weighted_by(result, study),
                    "weights": result.design.weights or "none",
                    "rows": result.design.n_rows,
                    "n_treated": _first_treated(result),
                }
            )
        return pd.DataFrame(rows)

    def _misaligned(self) -> list[str]:
        """Say where estimators differ in base period, comparison or weights, and what of it."""
        table = self.alignment()
        sentences = []
        for column, head, meaning in (
            ("measured_from", "Base periods differ",
             "the same effects if trends are parallel in all periods before treatment, not else"),
            ("compared_with", "Comparison units differ",
             "the same effects if the trends of those treated later are parallel too"),
            ("cohorts_weighted_by", "Cohorts are weighted differently",
             "the same average only if effects do not differ between cohorts"),
        ):  # fmt: skip
            groups = table.groupby(column, sort=False)["estimator"].apply(listing)
            if len(groups) > 1:
                said = "; ".join(f"{what} ({who})" for what, who in groups.items())
                sentences.append(f"{head}: {said}. They are {meaning}.")
        seen = table.dropna(subset="n_treated")
        shown = seen["n_treated"].map("{:,.0f}".format)
        counts = seen["estimator"].groupby(shown, sort=False).apply(listing)
        if len(counts) > 1:
            said = "; ".join(f"{n} ({who})" for n, who in counts.items())
            sentences.append(f"Treated units behind the first effect differ: {said}.")
        return sentences

    def words(self) -> list[str]:
        """Say what each estimator estimates, from what, and who was left out."""
        sentences = []
        for label, result, study in zip(self.labels, self.results, self.studies, strict=True):
            df = result.uncertainty.df
            law = "normal" if df is None else f"t({df:g})"
            span = "one effect"
            if study is not None:
                times = study.cells["event_time"]
                span = f"event times {times.min():g} to {times.max():g}"
            said = " ".join(result.notes)
            sentences.append(
                f"{label}: {result.estimand}; {span}; {result.uncertainty.method}, {law}. {said}"
            )
        shared = self.common_event_times
        if shared:
            sentences.append(
                f"The average is over event times {listing((f'{e:g}' for e in shared), 12)}, each "
                "with the same weight."
            )
        sentences.extend(self._misaligned())
        sizes = sorted({result.design.n_rows for result in self.results})
        if len(sizes) > 1:
            sentences.append(f"The samples differ: {listing(sizes)} rows.")
        sentences.extend(f"Left out: {name}. {why}" for name, why in self.skipped.items())
        return sentences

    @cached_property
    def has_effects(self) -> bool:
        """Whether these are effects of treatment; other coefficients stand side by side only."""
        return any(
            study is not None or _treatment_rows(result)
            for result, study in zip(self.results, self.studies, strict=True)
        )

    def coefficients(
        self,
        labels: Sequence[str] | None = None,
        terms: Sequence[str] | None = None,
        names: Mapping[str, str] | None = None,
        digits: int = 4,
    ) -> CoefficientTable:
        """Return all coefficients side by side, as journals print them; see CoefficientTable."""
        return CoefficientTable(self.results, labels or self.labels, terms, names, digits)

    def to_html(self) -> str:
        """Return the coefficients side by side as HTML."""
        return self.coefficients().to_html()

    def to_markdown(self) -> str:
        """Return the coefficients side by side in Markdown."""
        return self.coefficients().to_markdown()

    def to_latex(self) -> str:
        """Return the coefficients side by side as a LaTeX tabular."""
        return self.coefficients().to_latex()

    def to_word(self, path: str | Path) -> None:
        """Write the coefficients side by side as a Word file.

        Raises
        ------
        ReportError : the extra "docx" is not installed, or the file is not named .docx
        """
        self.coefficients().to_word(path)

    def _average_table(self) -> pd.DataFrame:
        long = self.tidy()
        rows = long[long["term"] == AVERAGE]
        return rows.drop(columns=["term", "event_time"], errors="ignore")

    def summary(self) -> str:
        """Return averages, differences and words as text."""
        if not self.has_effects:
            return repr(self.coefficients())
        long = self.tidy()
        averages = long[long["term"] == AVERAGE].drop(
            columns=["term", "event_time"], errors="ignore"
        )
        parts = ["Average effect after treatment", "", tables.to_text(averages), ""]
        differences = self.differences()
        if len(differences):
            first = differences[differences["term"] == AVERAGE].drop(columns=["term"])
            parts += [f"Less {self.labels[0]}", "", tables.to_text(first), ""]
            parts += [str(test) for test in self.joint_tests().values()]
        return "\n".join([*parts, "", *self.words()])

    def __repr__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        if not self.has_effects:
            return self.to_html()
        long = self.tidy()
        averages = long[long["term"] == AVERAGE].drop(
            columns=["term", "event_time"], errors="ignore"
        )
        tests = [str(test) for test in self.joint_tests().values()]
        return tables.to_html(
            averages, caption="Average effect after treatment", notes=(*tests, *self.words())
        )

    def plot(self, *, ax: Axes | None = None, level: float = 0.95) -> Axes:
        """Draw the event studies in one figure, side by side at each event time."""
        import matplotlib.pyplot as plt

        if ax is None:
            _, ax = plt.subplots(figsize=(8.0, 4.4), layout="constrained")
        shown = [(label, s) for label, s in zip(self.labels, self.studies, strict=True) if s]
        if not shown:
            raise EstimationError(
                "none of these results has effects by event time to draw; read table() instead."
            )
        for j, (label, study) in enumerate(shown):
            frame = study.tidy(level)
            x = frame["event_time"] + (j - (len(shown) - 1) / 2) * 0.72 / len(shown)
            colour = COLOURS[j % len(COLOURS)]
            ax.vlines(x, frame["conf_low"], frame["conf_high"], color=colour, lw=1.6, alpha=0.7)
            marker = MARKERS[j % len(MARKERS)]
            ax.plot(x, frame["estimate"], marker, color=colour, ms=4.5, label=label)
        ax.axhline(0.0, color=plots.INK, lw=0.8)
        ax.axvline(-0.5, color=plots.QUIET, lw=0.8, ls=(0, (4, 3)))
        ax.set_xlabel("Periods since treatment began")
        ax.set_ylabel(f"Effect on {self.results[0].design.outcome}")
        ax.spines[["top", "right"]].set_visible(False)
        ax.legend(fontsize=8, frameon=False, ncols=2)
        return ax


def _distinct(result: Result, results: tuple[Result, ...]) -> str:
    """Name the settings in which a result differs from its namesakes."""
    others = [r for r in results if r.estimator == result.estimator and r is not result]
    own = [
        f"{name}={value!r}"
        for name, value in result.settings.items()
        if any(other.settings.get(name) != value for other in others)
    ]
    position = [r for r in results if r.estimator == result.estimator].index(result) + 1
    return f"({', '.join(own)})" if own else f"({position})"


def _measured_from(result: Result) -> str:
    """Say which untreated periods the effects are measured from."""
    settings = result.settings
    if settings.get("base_period") == "varying":
        return f"{LAST_BEFORE}; before it, the period before each"
    if settings.get("base_event_times") is not None:
        return f"event times {settings['base_event_times']}"
    if int(str(settings.get("base_periods", 1))) > 1:
        return f"mean of the last {settings['base_periods']} periods before treatment"
    imputes = result.estimator in ("Imputation", "TwoStage")
    pooled = result.estimator == "ExtendedTWFE" and settings["comparison"] == "not_yet_treated"
    static = result.estimator == "TwoWayFixedEffects" and settings["effect"] == "static"
    return ALL_UNTREATED if imputes or pooled or static else LAST_BEFORE


def _compared_with(result: Result) -> str:
    """Say who serves as comparison."""
    stated = result.settings.get("comparison")
    if stated is not None:
        return "never treated" if stated == "never_treated" else "not yet or never treated"
    if result.estimator == "SunAbraham":
        alone = np.isnan(result.design.cohorts).any()
        return "never treated" if alone else "the cohort treated last"
    if result.estimator == "StackedDiD":
        return "untreated throughout the window"
    if result.estimator == "TwoWayFixedEffects":
        return "all others, treated ones too"
    return "not yet or never treated"


def _weighted_by(result: Result, study: Result | None) -> str:
    """Say what weight a cohort has in an event time's effect."""
    if result.settings.get("weighting") in ("variance", "none"):
        return "size and variance of treatment"
    if study is None:
        return "size and variance of treatment"
    return "size"


def _first_treated(result: Result) -> float:
    """Count the treated units behind the effects in the first period of treatment."""
    if "n_treated" not in result.cells or len(result) == 0:
        return np.nan
    first = (result.cells["event_time"] == 0) & result.cells["estimate"].notna()
    return float(result.cells.loc[first, "n_treated"].sum()) if first.any() else np.nan


def _event_study(result: Result) -> Result | None:
    """Return the effects by event time, or None where the estimates have none."""
    if len(result.shares):
        return result.event_study()
    return result if result.cells["event_time"].notna().all() else None


def _treatment_rows(result: Result) -> list[int]:
    """List the rows of a result that are the effect of treatment."""
    names = ("att", "treated", result.design.treatment_column)
    return [k for k, term in enumerate(result.cells["term"]) if term in names]


def _one_effect(result: Result) -> Result:
    """Return the effect of treatment of a result without event study.

    Raises
    ------
    EstimationError : none of its estimates is one
    """
    rows = _treatment_rows(result)
    if not rows:
        raise EstimationError(
            f"{result.estimator} holds no effect of treatment to compare; it estimates "
            f"{listing(result.cells['term'])}. Leave it out."
        )
    return _combined(result, np.eye(len(result))[rows[0]])


def _mean_over(study: Result, event_times: tuple[float, ...]) -> Result:
    """Average an event study over the given event times with equal weights."""
    keep = study.cells["event_time"].isin(event_times).to_numpy()
    if not keep.any():
        raise EstimationError(
            "these estimators share no event time after treatment at which all have an estimate, "
            "so their averages would not be of the same effects. Leave one of them out."
        )
    return _combined(study, keep / keep.sum())


def _combined(result: Result, weights: Floats) -> Result:
    """Combine the estimates, with weights (K,), into one."""
    padded = np.zeros((1, len(result) + len(result.shares)))
    padded[0, : len(result)] = weights
    cells = pd.DataFrame({"term": [AVERAGE]}).reindex(columns=list(CELL_COLUMNS))
    cells["estimate"] = np.nan_to_num(result.estimates) @ weights
    cells["weight"], cells["note"] = 1.0, ""
    return replace(
        result,
        cells=cells,
        uncertainty=result.uncertainty.combine(padded),
        shares=pd.Series(dtype=np.float64),
    )


def _matching(study: Result, other: Result) -> list[tuple[float, int, int]]:
    """List the event times two studies both have with a standard error, and their rows."""
    rows = [
        {
            float(e): k
            for k, e in enumerate(one.cells["event_time"])
            if not np.isnan(one.std_errors[k])
        }
        for one in (study, other)
    ]
    return [(e, rows[0][e], rows[1][e]) for e in sorted(rows[0].keys() & rows[1].keys())]


def _contributions(result: Result) -> tuple[Floats, Floats] | None:
    """Return contributions (G, K), and what multiplies their squares to the variances (K,)."""
    psi = result.uncertainty.contributions()
    if psi is None:
        return None
    psi = psi[:, : len(result)]
    raw = np.einsum("gk,gk->k", psi, psi)
    variances = result.uncertainty.variances()[: len(result)]
    return psi, np.divide(variances, raw, out=np.ones(len(raw)), where=raw > 0)


def _df(result: Result) -> float:
    """Return the degrees of freedom of differences: clusters less one."""
    return float(result.design.n_clusters - 1)


def _same_clusters(one: Design, other: Design) -> bool:
    if one is other:
        return True
    if one.cluster_columns != other.cluster_columns or one.n_clusters != other.n_clusters:
        return False
    names = [d.sample.unit_values(d.cluster_columns[0]).unique() for d in (one, other)]
    return bool(np.array_equal(np.sort(names[0]), np.sort(names[1])))


def _joint(
    one: Result, other: Result, pairs: list[tuple[float, int, int]]
) -> tuple[Floats, Floats | None]:
    """Return differences (P,) and their contributions (G, P), None if they cannot be joined."""
    mine, theirs = [p[1] for p in pairs], [p[2] for p in pairs]
    values = one.estimates[mine] - other.estimates[theirs]
    if not _same_clusters(one.design, other.design):
        return values, None
    found, reference = _contributions(one), _contributions(other)
    if found is None or reference is None or len(found[0]) != len(reference[0]):
        return values, None
    (psi, factor), (psi0, factor0) = found, reference
    factor, factor0 = factor[mine], factor0[theirs]
    if np.ptp(factor) <= NEGLIGIBLE and np.ptp(factor0) <= NEGLIGIBLE:
        # One factor each, of small samples: shared, lest what the two have in common not cancel.
        larger = np.sqrt(np.maximum(factor, factor0))
        return values, (psi[:, mine] - psi0[:, theirs]) * larger
    return values, psi[:, mine] * np.sqrt(factor) - psi0[:, theirs] * np.sqrt(factor0)


def _difference(one: Result, other: Result, mine: int, theirs: int) -> dict[str, object]:
    """Test the difference between a row of each of two results."""
    values, psi = _joint(one, other, [(0.0, mine, theirs)])
    error, note = np.nan, ""
    if psi is None:
        note = "no joint covariance: one has no contributions by the same clusters"
    else:
        error = float(np.sqrt(psi[:, 0] @ psi[:, 0]))
        if min(error, abs(values[0])) <= NEGLIGIBLE * one.std_errors[mine]:
            error, note = np.nan, "the same number: they differ by rounding only"
    statistic = values[0] / error
    return {
        "difference": float(values[0]),
        "std_error": error,
        "statistic": float(statistic),
        "p_value": float(bands.two_sided_p_values(np.array([statistic]), _df(one))[0]),
        "note": note,
    }
