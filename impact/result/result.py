"""The one result type: estimates with their joint uncertainty, views, inference and tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact import tables
from impact.inference import bands
from impact.inference.auto import Method
from impact.inference.dispatch import Inference
from impact.inference.evidence import Evidence
from impact.result.estimates import Estimates, InferenceRequest
from impact.result.joint import JointTest, joint_wald_test
from impact.result.judgement import evidence_of, judge, least_freedom
from impact.result.power import (
    detectable_effects,
    equivalence_table,
    planned_clusters,
    power_table,
)
from impact.result.table import tidy_table, value_for_bands
from impact.result.text import footing, heading, shown_columns
from impact.result.views import (
    Grouping,
    Weighting,
    average_after_treatment,
    average_by,
    combine,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Result"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class Result(Estimates):
    """Estimates of effect cells with their joint uncertainty.

    Attributes
    ----------
    estimator : name of the estimator
    design : the design that was fitted
    cells : one row an estimate, with term, cohort, time, event_time, estimate, weight, note
        (and n_treated, n_comparison where they apply); NaN estimates carry their reason in note
    uncertainty : joint uncertainty of the K estimates followed by the C cohort shares
    estimand : what the cells are, in words
    shares : share of units (or weight) of each cohort, indexed by cohort; empty if the
        estimates have no cohorts
    settings : the estimator's settings
    notes : sentences a reader of the numbers must know
    clusters_used : codes of the design's clusters that the estimates rest on, rising; None where
        they rest on all, or which they are is not known
    cohort_weights : weight of each cohort in each estimate, shape (K, C); None where labels tell
    treated_clusters : treated clusters that each estimate rests on, shape (K,), infinite where it
        is no effect of treatment; None where cohorts tell
    of_rows : returns the uncertainty of combinations of the K estimates, the C shares and the
        weight of the rows in each of the K cells, given their weights, shape (J, K + C + K); None
        where it is not sampled how many rows a cell has

    Notes
    -----
    Every view (``att``, ``by``, ``event_study``) is a Result again. Averages over cohorts use
    estimated shares, and their sampling error is part of every standard error.
    """

    def att(self, weighting: Weighting | None = None) -> Result:
        """Average the effects after treatment began into one number.

        Parameters
        ----------
        weighting : "cohort" averages each cohort's own average effect by cohort size (did's
            ``type="group"``); "cell" averages all cohort-period cells by cohort size (did's
            "simple"); "row" averages all treated rows, so that in panels with gaps a cell counts
            as often as it is observed (fixest, didimputation, did2s); "event_time" averages the
            event study from 0 on with equal weights ("dynamic"); "time" averages the periods
            with equal weights ("calendar"). None is "cohort" where the estimates have cohorts,
            and equal weights where they have not

        Raises
        ------
        EstimationError : no cell lies after treatment, or the estimates do not carry what the
            weighting needs

        Source
        ------
        Callaway and Sant'Anna (2021), section 3.1.1 and table 1.
        """
        return average_after_treatment(self, weighting)

    def by(
        self, grouping: Grouping, *, balanced: int | None = None, by_rows: bool = False
    ) -> Result:
        """Average the cells by event time, cohort or period, with cohort sizes as weights.

        Parameters
        ----------
        grouping : "event_time" (all cells), "cohort" or "time" (cells after treatment)
        balanced : with "event_time", keep only cohorts whose effects are known from 0 to this
            many periods after treatment began, and the event times up to it that all of them
            have, so that all points average the same cohorts
        by_rows : weigh cells by the rows observed in them instead of the cohort's size, which
            differs in panels with gaps only (fixest, didimputation, did2s)

        Raises
        ------
        EstimationError : the estimates have no cells of this kind; ``balanced`` where cohorts are
            not told or another grouping is asked for
        """
        return average_by(self, grouping, balanced=balanced, by_rows=by_rows)

    def event_study(self, *, balanced: int | None = None, by_rows: bool = False) -> Result:
        """Return the effects by periods since treatment began."""
        return self.by("event_time", balanced=balanced, by_rows=by_rows)

    def contrasts(self, weights: Floats, terms: Sequence[str]) -> Result:
        """Combine the estimates with weights of one's own, bands holding for all combinations.

        Parameters
        ----------
        weights : array, shape (A, K), one row a combination, in the order of ``cells``
        terms : names of the A combinations

        Raises
        ------
        EstimationError : weights of another shape, or on an estimate that does not exist

        Example
        -------
        >>> changes = np.diff(np.eye(len(study)), axis=0)             # doctest: +SKIP
        >>> study.contrasts(changes, growth_names).tidy()             # doctest: +SKIP
        """
        return combine(self, weights, terms)

    def pre_trends_test(self) -> JointTest:
        """Test jointly that all effects before treatment are zero (a Wald test).

        Raises
        ------
        EstimationError : no estimate lies before treatment
        """
        before = (self.cells["event_time"] < -self.design.anticipation).to_numpy()
        return self.joint_test(
            before & ~np.isnan(self.std_errors), "Effects before treatment are zero"
        )

    def joint_test(
        self, keep: NDArray[np.bool_], question: str = "All effects are zero"
    ) -> JointTest:
        """Test jointly that the estimates marked by ``keep``, shape (K,), are zero.

        Notes
        -----
        With many clusters the Wald statistic is compared with a chi-square distribution, or F
        where the estimator has degrees of freedom. With few it is scaled for the smaller arm's
        n_1 clusters and compared as Hotelling's two-sample statistic,
        W (n_1 - 1)/n_1 (G - 1 - q) / (q (G - 2)) ~ F(q, G - 1 - q); where the smaller arm has no
        more clusters than there are restrictions, there is no p-value. Regressions with CR2, asked
        for as covariance or by ``infer("cr2")``, are tested by Hotelling's approximation with
        estimated degrees of freedom (HTZ); the statistic is then F itself.

        Source
        ------
        Hotelling (1931), Annals of Mathematical Statistics 2(3); Pustejovsky and Tipton (2018),
        Journal of Business and Economic Statistics 36(4), section 3.2.
        """
        return joint_wald_test(self, keep, question)

    def infer(
        self,
        method: Method | Literal["auto"] = "auto",
        *,
        draws: int = 9999,
        seed: int = 0,
        strata: str | None = None,
    ) -> Result:
        """Return the result with p-values and intervals by another method.

        Parameters
        ----------
        method : "auto" takes the method that holds for these clusters, treated clusters and
            leverages, and says why; "cr1", "cr2", "cr3" are clustered standard errors; "wild"
            and "wild_unrestricted" the wild cluster bootstrap, "wild_subcluster" the one that draws
            by unit while variances are by cluster (few treated clusters), "wild_two_way" the one
            of two cluster columns (draws by the first); "permutation" and
            "permutation_by_size" reassign treatment paths; "ferman_pinto" and "conley_taber"
            compare with placebo effects of untreated clusters; "pairs" resamples clusters
        draws, seed : of the methods that draw
        strata : column of the blocks within which assignment was random, one value a cluster

        Returns
        -------
        Result : the same estimates; ``tidy`` then shows the method's p-values and intervals

        Raises
        ------
        InferenceError : the method does not exist for these estimates, with the remedy

        Notes
        -----
        Without this call, estimates rest on the estimator's own standard errors where clusters
        are many, and on what "auto" chooses where they are few. Where nothing valid exists there
        is an estimate and no p-value.
        """
        wanted = replace(self, request=InferenceRequest(method, draws, seed, strata))
        wanted.inferences()
        return wanted

    def inferences(self, level: float = 0.95) -> list[Inference | None]:
        """Return the inference of each estimate; None where the estimator's own is taken."""
        if level not in self._inferences:
            self._inferences[level] = judge(self, level)
        return self._inferences[level]

    @cached_property
    def _inferences(self) -> dict[float, list[Inference | None]]:
        return {}

    def evidence(self, row: int = 0) -> Evidence:
        """Return what is known of one estimate, as arrays for `impact.inference`.

        With it any function there takes the estimate: ``wild_cluster_test`` its blocks,
        ``permutation_test`` its paths, ``joint_draws`` families of outcomes.
        """
        return evidence_of(self, row)

    def critical_value(
        self, level: float = 0.95, *, simultaneous: bool = True, seed: int = 0
    ) -> float:
        """Return the critical value of one interval, or of all K at once (sup-t)."""
        if simultaneous:
            return value_for_bands(self, level, seed)
        return float(bands.pointwise_critical_value(level, least_freedom(self)))

    def minimum_detectable_effect(self, *, power: float = 0.8, level: float = 0.95) -> Floats:
        """Return the smallest true effects that would be found with the given power, shape (K,).

        MDE = (q(1 - (1 - level)/2) + q(power)) * std. error with q the quantile of the t
        distribution (normal where the degrees of freedom are infinite). Where clusters are few
        and another method gives the intervals, its own detectable effect is taken, which exists
        for a power of 0.8 only and is NaN for others.

        Source
        ------
        Bloom (1995), Evaluation Review 19(5).
        """
        return detectable_effects(self, self.inferences(level), power, level)

    def equivalence(self, low: float, high: float, *, level: float = 0.95) -> pd.DataFrame:
        """Say whether effects are negligible, or the data cannot tell.

        Parameters
        ----------
        low, high : the largest decrease and increase that do not matter, in the outcome's units
        level : 1 - level is the size of each one-sided test

        Returns
        -------
        DataFrame : term, estimate, p_value of the two one-sided tests (NaN where inference by
            ranks gives none), the set of level 1 - 2 (1 - level), and the verdict on it:
            "negligible" only if the set lies between the bounds, "not_settled" if it holds
            effects that matter in both directions

        Source
        ------
        Schuirmann (1987), Journal of Pharmacokinetics and Biopharmaceutics 15(6).
        """
        return equivalence_table(self.tidy(2 * level - 1), low, high, level)

    def power_curve(self, effects: Sequence[float], *, level: float = 0.95) -> pd.DataFrame:
        """Return the chance that each true effect would be found, one row an effect and estimate.

        Where reassignments of treatment give the p-values, power is simulated: the effect is added
        to the placebo estimates of this very panel, with its serial and spatial correlation. Else
        it comes from the standard error and degrees of freedom shown.

        Parameters
        ----------
        effects : true effects in the outcome's units
        """
        return power_table(self, self.inferences(level), self.evidence, effects, level)

    def clusters_needed(self, effect: float, *, power: float = 0.8, level: float = 0.95) -> int:
        """Return how many clusters would find an effect, this panel being the pilot.

        The error of the first estimate shrinks with the root of the number of clusters, treated in
        the pilot's proportion. Where clusters are few it is the error that the detectable effect of
        the method in use tells.

        Raises
        ------
        InferenceError : an effect of zero, or a pilot with neither of these
        """
        return planned_clusters(self, self.inferences(level), effect, power, level)

    def tidy(self, level: float = 0.95, *, seed: int = 0) -> pd.DataFrame:
        """Return the estimates as a table.

        Columns are term (and cohort, time, event_time where they apply), estimate, std_error,
        statistic, df, p_value, conf_low, conf_high (one interval at a time), band_low,
        band_high (all at once), n_treated and n_comparison where known, and note where one
        estimate has one.

        Where a method other than the estimator's own gives the p-values, ``inference`` names it,
        and every column from std_error to conf_high is that method's: a permutation test has no
        standard error, so that std_error, statistic and df are NaN and the set is had by
        inverting the test; the wild bootstrap's std_error and statistic are those that it
        bootstraps. Bands stand only beside clustered standard errors. The estimator's own
        standard errors are in ``std_errors``.
        """
        return tidy_table(self, self.inferences(level), level, seed)

    def summary(self, level: float = 0.95) -> str:
        """Return the result as text: what was estimated, from what, the table, the notes."""
        table = tables.to_text(shown_columns(self.tidy(level)))
        return "\n".join([*heading(self), "", table, "", *self._footing(level)])

    def __repr__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        title, *lines = heading(self)
        notes = (*lines, *self._footing(0.95))
        return tables.to_html(shown_columns(self.tidy()), caption=title, notes=notes)

    def _footing(self, level: float) -> list[str]:
        return footing(self, self.inferences(level), level)

    def to_markdown(self, level: float = 0.95) -> str:
        """Return the table in Markdown."""
        return tables.to_markdown(shown_columns(self.tidy(level)))

    def to_latex(self, level: float = 0.95) -> str:
        """Return the table as a LaTeX tabular."""
        return tables.to_latex(shown_columns(self.tidy(level)))

    @property
    def __maketables_coef_table__(self) -> pd.DataFrame:
        """Estimates as maketables reads them: b, se, t, p, ci95l, ci95u, one row a term."""
        names = {"estimate": "b", "std_error": "se", "statistic": "t", "p_value": "p"}
        names |= {"conf_low": "ci95l", "conf_high": "ci95u"}
        table = self.tidy().set_index("term").rename_axis("Coefficient")
        return table[list(names)].rename(columns=names)

    @property
    def __maketables_depvar__(self) -> str:
        """Outcome, as maketables reads it."""
        return self.design.outcome

    @property
    def __maketables_fixef_string__(self) -> str | None:
        """Fixed effects, as maketables reads them: "unit+time" with the panel's own names."""
        effects = self.settings.get("effects", ())
        if not isinstance(effects, tuple) or not effects:
            return None
        own = {"unit": self.design.panel.unit, "time": self.design.panel.time}
        return "+".join(own.get(str(effect), str(effect)) for effect in effects)

    @property
    def __maketables_vcov_info__(self) -> dict[str, str]:
        """Covariance, as maketables reads it."""
        clusters = "+".join(self.design.cluster_columns)
        return {"vcov_type": self.uncertainty.method, "clustervar": clusters}

    def __maketables_stat__(self, key: str) -> float | int | str | None:
        """Return a statistic by maketables' key, None where there is none."""
        known = {
            "N": int(self.extra.get("n_rows", self.design.n_rows)),
            "r2_within": self.extra.get("r_squared_within"),
            "se_type": self.uncertainty.method,
        }
        return known.get(key)

    def plot(self, *, ax: Axes | None = None, level: float = 0.95) -> Any:
        """Draw the estimates: an event study, group-time panels, or one line an estimate."""
        from impact import plots

        frame, outcome = self.tidy(level), self.design.outcome
        if self.cells["event_time"].notna().all() and self.cells["event_time"].is_unique:
            return plots.event_study(frame, ax=ax, outcome=outcome, level=level)
        if self.cells[["cohort", "time"]].notna().all(axis=None) and ax is None:
            return plots.cells(frame, outcome=outcome)
        return plots.coefficients(frame, ax=ax, outcome=outcome)
