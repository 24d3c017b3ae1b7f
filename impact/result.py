"""The one result type: cells of effects with their joint uncertainty, and views of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from impact import tables
from impact.design import Design
from impact.errors import (
    EstimationError,
    InferenceError,
    PanelError,
    check_choice,
    listing,
    plural,
)
from impact.inference import bands
from impact.inference.aggregation import share_average
from impact.inference.auto import MANY_TREATED, Method, choose, refuse_split
from impact.inference.clusters import BlockScores
from impact.inference.dispatch import Inference, infer, nothing, power_at
from impact.inference.equivalence import two_one_sided_tests, verdict
from impact.inference.evidence import Evidence, Label, Sample, gather
from impact.inference.power import clusters_needed as planned_clusters
from impact.inference.power import power_curve as analytic_power
from impact.inference.rounding import EXACT
from impact.inference.scores import Replicates, Scores, Uncertainty
from impact.inference.sets import ConfidenceSet, interval
from impact.inference.treated import cohort_weights, effective_treated
from impact.warehouse import TableSample

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["InferenceRequest", "JointTest", "Result"]

Floats = NDArray[np.float64]
Weighting = Literal["cohort", "cell", "row", "event_time", "time"]
Grouping = Literal["event_time", "cohort", "time"]

PLENTY = 50
"""Treated and untreated clusters, of one unit each, beyond which no check of methods is needed."""

CHEAP = 5000
"""Doubted estimates times clusters up to which methods for few clusters are run unasked in large
designs; about a second takes 2,000."""
CHEAP_BLOCKS = 10**7
"""Numbers in a regression's blocks by cluster up to which the same holds."""

CLUSTERED = ("cr1", "cr2", "cr3")
"""Methods that are a standard error with a t or normal law."""

OWN_ERRORS = '.std_errors has the estimator\'s own; infer("cr1") prints with them'
"""Where to find standard errors that are not read by default."""

CELL_COLUMNS = ("term", "cohort", "time", "event_time", "estimate", "weight", "note")


@dataclass(frozen=True)
class JointTest:
    """A test that several estimates are all zero.

    ``restrictions`` is the rank of their covariance; ``df`` the denominator degrees of
    freedom of the F form, None for the chi-square form.
    """

    question: str
    statistic: float
    restrictions: int
    p_value: float
    df: float | None = None
    note: str = ""

    def __str__(self) -> str:
        return (
            f"{self.question}: statistic {self.statistic:.4g} with {self.restrictions} "
            f"restrictions, p = {self.p_value:.4f}{f' ({self.note})' if self.note else ''}"
        )


@dataclass(frozen=True)
class InferenceRequest:
    """How p-values and intervals are to be had.

    ``method`` None takes the estimator's own standard errors where many clusters make them
    trustworthy, and otherwise what "auto" chooses.
    """

    method: Method | Literal["auto"] | None = None
    draws: int = 9999
    seed: int = 0
    strata: str | None = None


@dataclass(frozen=True, eq=False, repr=False)
class Result:
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

    Notes
    -----
    Every view (``att``, ``by``, ``event_study``) is a Result again. Averages over cohorts use
    estimated shares, and their sampling error is part of every standard error.
    """

    estimator: str
    design: Design
    cells: pd.DataFrame
    uncertainty: Uncertainty
    estimand: str
    shares: pd.Series = field(default_factory=lambda: pd.Series(dtype=np.float64))
    settings: Mapping[str, object] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    request: InferenceRequest = InferenceRequest()
    clusters_used: NDArray[np.int64] | None = None
    cohort_weights: Floats | None = None
    treated_clusters: Floats | None = None

    def __post_init__(self) -> None:
        absent = [c for c in CELL_COLUMNS if c not in self.cells.columns]
        if absent:
            raise EstimationError(f"{self.estimator} returned cells without {listing(absent)}.")
        object.__setattr__(self, "cells", self.cells.reset_index(drop=True))

    def __len__(self) -> int:
        return len(self.cells)

    @property
    def estimates(self) -> Floats:
        """Estimates, shape (K,)."""
        return self.cells["estimate"].to_numpy(dtype=np.float64)

    @cached_property
    def std_errors(self) -> Floats:
        """Standard errors, shape (K,); NaN where none exists or rounding alone is left of one."""
        variances = self.uncertainty.variances()[: len(self)]
        with np.errstate(invalid="ignore"):
            errors = np.sqrt(variances)
            rounding = errors <= EXACT * np.abs(self.estimates)
        # Effects share a unit of measurement; a covariate's coefficient has its own.
        dated = self.cells[["cohort", "time", "event_time"]].notna().any(axis=1).to_numpy()
        none = variances <= np.where(dated, 1e-30 * np.nanmax(variances, initial=0.0), 0.0)
        return np.where(np.isnan(self.estimates) | none | rounding, np.nan, errors)

    def covariance(self) -> pd.DataFrame:
        """Return the covariance of the estimates, labelled by term, shape (K, K)."""
        terms = pd.Index(self.cells["term"], name="term")
        matrix = self.uncertainty.covariance()[: len(self), : len(self)]
        return pd.DataFrame(matrix, index=terms, columns=terms)

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
        choices = ("cohort", "cell", "row", "event_time", "time")
        check_choice("weighting", weighting or "cohort", choices)
        if not len(self.shares):
            return self._plain_att(weighting)
        if weighting in ("event_time", "time"):
            return self.by(weighting)._mean_after()
        after = self._after()
        if weighting == "row":
            incidence = after * self._presence()
        elif weighting != "cell":
            cohorts = self.cells["cohort"].to_numpy(dtype=np.float64)
            known = after & ~np.isnan(self.estimates)
            count = pd.Series(known).groupby(cohorts).transform("sum").to_numpy()
            incidence = np.divide(known, count, out=np.zeros(len(self)), where=count > 0)
        else:
            incidence = after.astype(np.float64)
        head = pd.DataFrame({"term": ["att"]})
        return self._average(incidence[None, :], head, weighting or "cohort")

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
        EstimationError : the estimates have no cells of this kind
        """
        check_choice("grouping", grouping, ("event_time", "cohort", "time"))
        if not len(self.shares):
            return self._plain_by(grouping)
        keep = np.ones(len(self), dtype=bool) if grouping == "event_time" else self._after()
        if grouping == "event_time" and balanced is not None:
            keep = self._balanced_cells(balanced)
        labels = self.cells[grouping].to_numpy(dtype=np.float64)
        values = np.unique(labels[keep & ~np.isnan(labels)])
        if not len(values):
            raise EstimationError(
                f"no cell is left to average by {grouping}; the design may hold no period after "
                f"treatment{'' if balanced is None else f', or none with balanced={balanced}'}."
            )
        incidence = (labels == values[:, None]) & keep
        head = pd.DataFrame({"term": [f"{grouping} {v:g}" for v in values], grouping: values})
        if grouping == "cohort":
            known = incidence & ~np.isnan(self.estimates)
            incidence = known / np.maximum(known.sum(axis=1, keepdims=True), 1)
        if by_rows:
            incidence = incidence * self._presence()
        return self._average(incidence.astype(np.float64), head, grouping)

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
        >>> study.contrasts(np.diff(np.eye(len(study)), axis=0), growth_names).tidy()
        """
        rows = np.atleast_2d(np.asarray(weights, dtype=np.float64))
        if rows.shape != (len(terms), len(self)) or not np.isfinite(rows).all():
            raise EstimationError(
                f"weights of {plural(len(terms), 'combination')} of {plural(len(self), 'estimate')}"
                f" are a table of {len(terms)} by {len(self)} numbers; these are "
                f"{' by '.join(str(n) for n in rows.shape)}, all to be finite. Give one row a "
                "term and one column a row of .cells."
            )
        used = np.isnan(self.estimates) & (rows != 0).any(axis=0)
        if used.any():
            raise EstimationError(
                f"{plural(int(used.sum()), 'estimate')} with a weight does not exist, first "
                f"{listing(self.cells['term'][used])}: {self.cells['note'][used].iloc[0]}. "
                "Give it weight zero."
            )
        return self._linear(rows, pd.DataFrame({"term": list(terms)}), ", combined")

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
        if not keep.any():
            raise EstimationError(
                f"{question!r} cannot be tested: none of the {plural(len(self), 'estimate')} is of "
                "that kind with a standard error. More periods before treatment would be needed."
            )
        if self.request.method in (None, "auto"):
            refuse_split(self._split)
        own = self.uncertainty
        if isinstance(own, BlockScores) and "CR2" in (own.kind, str(self.request.method).upper()):
            rows = np.eye(len(own.contrast))[np.flatnonzero(keep)]
            cr2 = own.combine(rows).hotelling_test(self.estimates[keep])
            note = "Hotelling's F with CR2" + ("" if cr2.p_value >= 0 else ", too few clusters")
            return JointTest(question, cr2.statistic, cr2.restrictions, cr2.p_value, cr2.df, note)
        matrix = own.covariance()[: len(self), : len(self)][np.ix_(keep, keep)]
        statistic, rank, p_value = bands.joint_wald(
            self.estimates[keep], matrix, df=self.uncertainty.df
        )
        fewest = float(self._arms[keep].min()) if self._has_arms else np.inf
        few = fewest < MANY_TREATED and (self._is_large or self._has_few_replicates)
        doubted = self._doubted[keep].any() or (few and self._has_few_replicates)
        if self.request.method is None and not doubted:
            return JointTest(question, statistic, rank, p_value, self.uncertainty.df)
        return self._few_cluster_test(question, statistic, rank, int(fewest) if few else None)

    def _few_cluster_test(
        self, question: str, statistic: float, rank: int, fewest: int | None
    ) -> JointTest:
        """Compare a Wald statistic with Hotelling's two-sample law for G clusters.

        ``fewest`` are the treated clusters of the estimate that has fewest; None for the design's.
        """
        treated, untreated = self._cluster_counts
        clusters = min(treated + untreated, self.uncertainty.n_clusters)
        arm = fewest or min(treated, untreated) or (treated + untreated) // 2
        freedom = clusters - 1 - rank
        if arm <= rank or freedom < 1:
            return JointTest(
                question, statistic, rank, np.nan, float(freedom),
                f"no p-value: {rank} restrictions and {plural(arm, 'cluster')} in the smaller arm",
            )  # fmt: skip
        scaled = statistic * (arm - 1) / arm * freedom / (rank * (clusters - 2))
        p_value = float(special.fdtrc(rank, freedom, scaled))
        return JointTest(
            question, scaled * rank, rank, p_value, float(freedom), "Hotelling's F for few clusters"
        )

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
            self._inferences[level] = self._infer_rows(level)
        return self._inferences[level]

    @cached_property
    def _inferences(self) -> dict[float, list[Inference | None]]:
        return {}

    def _infer_rows(self, level: float) -> list[Inference | None]:
        request = self.request
        if request.method in (None, "auto"):
            refuse_split(self._split)
        every = request.method is not None
        doubted = np.ones(len(self), dtype=bool) if every else self._doubted
        doubted = doubted & ~np.isnan(self.std_errors)
        if not doubted.any() or (request.method == "cr1" and not self._knows_clusters):
            return [None] * len(self)
        if every and not self._knows_clusters:
            raise InferenceError(
                f"{self._rests_on_some}, so other methods cannot match them. "
                "Leave out the units it does not use from the design."
            )
        cheap = every or not self._is_large or self._is_cheap(int(doubted.sum()))
        return [
            self._infer_row(row, level, cheap=cheap) if doubted[row] else None
            for row in range(len(self))
        ]

    def _is_cheap(self, n_rows: int) -> bool:
        """Whether methods for few clusters take seconds at most for so many estimates."""
        own, clusters = self.uncertainty, self._n_clusters
        width = own.contrast.shape[1] if isinstance(own, BlockScores) else 0
        return n_rows * clusters <= CHEAP and clusters * width**2 <= CHEAP_BLOCKS

    def _infer_row(self, row: int, level: float, *, cheap: bool) -> Inference | None:
        """Return the inference of one estimate; None where the estimator's own holds."""
        request, estimate = self.request, float(self.estimates[row])
        if not self._knows_clusters:
            return nothing(f"{self._rests_on_some}, not known which; {OWN_ERRORS}", estimate, level)
        thin = request.method is None and self._is_large
        if thin and not (cheap and self._has_rows):
            return nothing(self._thin_reason(row), estimate, level)
        evidence = self.evidence(row)
        if thin and evidence.paths is None and evidence.blocks is None:
            return nothing(self._thin_reason(row), estimate, level)
        if request.method is None and choose(evidence.facts).method == "cr1":
            few = evidence.blocks is None and self._arms[row] < MANY_TREATED
            return nothing(self._thin_reason(row), estimate, level) if few else None
        return infer(
            evidence,
            request.method or "auto",
            draws=request.draws,
            seed=request.seed,
            level=level,
        )

    def _thin_reason(self, row: int) -> str:
        """Say how few clusters an estimate of a large design rests on."""
        few = plural(round(self._arms[row]), "cluster")
        return f"the smaller arm has about {few}; {OWN_ERRORS}"

    @property
    def _rests_on_some(self) -> str:
        return (
            f"{self.estimator} rests on {self._n_clusters} of the design's "
            f"{plural(self.design.n_clusters, 'cluster')}"
        )

    def evidence(self, row: int = 0) -> Evidence:
        """Return what is known of one estimate, as arrays for `impact.inference`.

        With it any function there takes the estimate: ``wild_cluster_test`` its blocks,
        ``permutation_test`` its paths, ``joint_draws`` families of outcomes.
        """
        cohort, time, event_time = (
            float(self.cells[name].iloc[row]) for name in ("cohort", "time", "event_time")
        )
        of_covariate = self.cells["term"].iloc[row] in self.design.covariates
        return gather(
            replace(self._sample, cohorts=None, treated=None) if of_covariate else self._sample,
            self.uncertainty,
            row,
            estimate=float(self.estimates[row]),
            std_error=float(self.std_errors[row]),
            label=Label(cohort, time, event_time),
            strata=self._strata(self.request.strata),
            split=self._split,
            units=None if self.design.table is not None else self.design.sample.unit_codes,
        )

    @cached_property
    def _split(self) -> str:
        """Say what was assigned as a whole but lies in several clusters; empty if nothing."""
        design = self.design
        split = design.split_assignments
        if not len(split):
            return ""
        columns = " and ".join(f'"{name}"' for name in design.cluster_columns)
        return (
            f"clusters by {columns} split "
            f'{plural(len(split), "value")} of "{design.assigned_by}", first {listing(split)}'
        )

    def _strata(self, column: str | None) -> NDArray[np.int64] | None:
        """Return the block of each cluster, shape (G,)."""
        if column is None:
            return None
        blocks = pd.factorize(self.design.sample.unit_values(column), sort=True)[0]
        clusters = self.design.cluster_codes
        own = blocks[np.unique(clusters, return_index=True)[1]]
        mixed = np.unique(clusters[(blocks < 0) | (blocks != own[clusters])])
        if len(mixed):
            names = self.design.sample.unit_values(self.design.cluster_columns[0])
            shown = listing(names.to_numpy()[np.unique(clusters, return_index=True)[1]][mixed])
            raise InferenceError(
                f'strata "{column}" are missing or differ within {plural(len(mixed), "cluster")}, '
                f"first {self.design.cluster_columns[0]} {shown}; whole clusters were assigned, so "
                "each must lie in one stratum."
            )
        return own if self.clusters_used is None else own[self.clusters_used]

    @property
    def _n_clusters(self) -> int:
        """Clusters of the first dimension that the estimates rest on."""
        own = self.uncertainty
        return own.clusters[0].size if isinstance(own, BlockScores) else own.n_clusters

    @property
    def _knows_clusters(self) -> bool:
        """Whether it is known which of the design's clusters the estimates rest on."""
        used = self.clusters_used
        return self._n_clusters == (self.design.n_clusters if used is None else len(used))

    @property
    def _has_rows(self) -> bool:
        """Whether the rows that methods for few clusters need are at hand."""
        return self.design.table is None or not self.design.covariates

    @property
    def _keeps_own(self) -> bool:
        """Whether the estimator's own standard errors are taken whatever the clusters."""
        design, own = self.design, self.uncertainty
        if design.treatment_column is None or not design.facts.n_treated_units:
            return True
        if isinstance(own, Replicates) or (isinstance(own, Scores) and own.keeps_law):
            return True
        if self.settings.get("covariance", "CR1") != "CR1":
            return True
        return len(design.cluster_columns) > 1 and not isinstance(own, BlockScores)

    @property
    def _has_few_replicates(self) -> bool:
        """Whether replicates, read by the normal law, may rest on few treated clusters."""
        return isinstance(self.uncertainty, Replicates) and self.uncertainty.df is None

    @cached_property
    def _cluster_counts(self) -> tuple[int, int]:
        """Treated and untreated clusters that the estimates rest on, at least."""
        facts = self.design.facts
        if self.clusters_used is not None:
            treated = int((self._sample.treated_sizes > 0).sum())
            return treated, self._n_clusters - treated
        lost = 0 if self._knows_clusters else max(0, facts.n_clusters - self._n_clusters)
        untreated = facts.n_clusters - facts.n_treated_clusters
        return max(0, facts.n_treated_clusters - lost), max(0, untreated - lost)

    @property
    def _is_large(self) -> bool:
        """Whether the design has so many clusters that only small cohorts are doubted."""
        facts = self.design.facts
        return min(self._cluster_counts) >= PLENTY and facts.n_clusters == facts.n_units

    @cached_property
    def _doubted(self) -> NDArray[np.bool_]:
        """Mark estimates whose own standard errors are not taken without a look, shape (K,)."""
        if self._keeps_own:
            return np.zeros(len(self), dtype=bool)
        if not self._is_large:
            return np.ones(len(self), dtype=bool)
        return self._arms < MANY_TREATED

    @property
    def _has_arms(self) -> bool:
        return self.design.treatment_column is not None and len(self.design.cohort_values) > 0

    @cached_property
    def _arms(self) -> Floats:
        """Treated clusters each estimate rests on, or those it compares with if fewer, (K,)."""
        found = effective_treated(self._weights_of_cohorts, self._cohort_clusters)
        if self.treated_clusters is not None:
            found = np.minimum(found, self.treated_clusters)
        for column in ("n_treated", "n_comparison"):
            if column in self.cells:
                number = self.cells[column].to_numpy(dtype=np.float64)
                found = np.fmin(found, np.where(number > 0, number, np.inf))
        return found

    @cached_property
    def _cohort_clusters(self) -> Floats:
        """Clusters of each cohort, shape (C,); its units where these move between clusters."""
        design = self.design
        facts, units = design.facts, np.maximum(design.cohort_units[:-1], 1).astype(np.float64)
        if design.table is not None or facts.n_clusters == facts.n_units:
            return units
        try:
            clusters = design.cluster_codes
        except PanelError:
            return units
        width = len(units) + 1
        pairs = np.unique(clusters * width + design.cohort_codes)
        return np.bincount(pairs % width, minlength=width)[:-1].astype(np.float64)

    @property
    def _weights_of_cohorts(self) -> Floats:
        if self.cohort_weights is not None:
            return self.cohort_weights
        design = self.design
        return cohort_weights(
            self.cells[["cohort", "time", "event_time"]].to_numpy(dtype=np.float64),
            np.asarray(design.cohort_values, dtype=np.float64),
            self._cohort_clusters,
            np.asarray(design.periods, dtype=np.float64),
        )

    @cached_property
    def _sample(self) -> Sample:
        every = self._whole_sample
        return every if self.clusters_used is None else every.of_clusters(self.clusters_used)

    @property
    def _whole_sample(self) -> Sample:
        design = self.design
        absorbing = design.dose is None and not len(design.reversing_units)
        if design.table is not None:
            return _sample_of_table(design, design.table, absorbing)
        cohorts = design.cohorts if absorbing else None
        try:
            clusters, weights = design.cluster_codes, design.unit_weights
        except PanelError:
            return _sample_of_stays(design, cohorts)
        covariates = design.covariate_array() if design.covariates else None
        return Sample(
            design.outcomes,
            cohorts,
            clusters,
            weights,
            design.periods,
            design.anticipation,
            covariates,
            treated=~np.isnan(design.cohorts) if design.n_treated_clusters else None,
        )

    def critical_value(
        self, level: float = 0.95, *, simultaneous: bool = True, seed: int = 0
    ) -> float:
        """Return the critical value of one interval, or of all K at once (sup-t)."""
        if not simultaneous:
            return float(bands.pointwise_critical_value(level, self._least_freedom))
        matrix = self.uncertainty.covariance()[: len(self), : len(self)]
        known = ~np.isnan(self.std_errors)
        return bands.simultaneous_critical_value(
            matrix[np.ix_(known, known)], level, df=self._least_freedom, seed=seed
        )

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
        upper = bands.pointwise_critical_value(level, self._freedoms)
        more = bands.pointwise_critical_value(2 * power - 1, self._freedoms)
        detectable = np.asarray((upper + more) * self.std_errors)
        for row, inference in enumerate(self.inferences(level)):
            if inference is not None:
                detectable[row] = inference.detectable if power == 0.8 else np.nan
        return detectable

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
        shown = self.tidy(2 * level - 1)
        rows = []
        for term, estimate, error, df, one, other in shown[
            ["term", "estimate", "std_error", "df", "conf_low", "conf_high"]
        ].itertuples(index=False):
            p_value = np.nan
            if error > 0 and not np.isnan(df):
                freedom = None if np.isinf(df) else df
                p_value = two_one_sided_tests(
                    estimate, error, low=low, high=high, df=freedom, level=level
                ).p_value
            known = not np.isnan(one)
            found = interval(one, other, 2 * level - 1) if known else ConfidenceSet((), level)
            said = verdict(found, low=low, high=high)
            rows.append((term, estimate, p_value, one, other, said))
        columns = ["term", "estimate", "p_value", "conf_low", "conf_high", "verdict"]
        return pd.DataFrame(rows, columns=columns)

    def power_curve(self, effects: Sequence[float], *, level: float = 0.95) -> pd.DataFrame:
        """Return the chance that each true effect would be found, one row an effect and estimate.

        Where reassignments of treatment give the p-values, power is simulated: the effect is added
        to the placebo estimates of this very panel, with its serial and spatial correlation. Else
        it comes from the standard error and degrees of freedom shown.

        Parameters
        ----------
        effects : true effects in the outcome's units
        """
        values = np.asarray(effects, dtype=np.float64)
        parts = []
        for row, inference in enumerate(self.inferences(level)):
            if np.isnan(self.std_errors[row]):
                power = np.full(len(values), np.nan)
            elif inference is None:
                df = float(self._freedoms[row])
                freedom = None if np.isinf(df) else df
                power = analytic_power(values, float(self.std_errors[row]), level=level, df=freedom)
            else:
                request = self.request
                power = power_at(
                    self.evidence(row),
                    inference,
                    values,
                    draws=request.draws,
                    seed=request.seed,
                    level=level,
                )
            term = self.cells["term"].iloc[row]
            parts.append(pd.DataFrame({"term": term, "effect": values, "power": power}))
        return pd.concat(parts, ignore_index=True)

    def clusters_needed(self, effect: float, *, power: float = 0.8, level: float = 0.95) -> int:
        """Return how many clusters would find an effect, this panel being the pilot.

        The standard error of the first estimate shrinks with the root of the number of clusters,
        treated in the pilot's proportion.

        Raises
        ------
        InferenceError : an effect of zero, or a pilot without a standard error
        """
        error = float(self.std_errors[0])
        if np.isnan(error):
            raise InferenceError(
                "the pilot's estimate has no standard error, so nothing tells how it shrinks with "
                f"more clusters: {self.cells['note'].iloc[0] or 'its variance is unknown'}."
            )
        return planned_clusters(effect, error, self.design.n_clusters, power=power, level=level)

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
        frame = self.cells[["term"]].copy()
        for column in ("cohort", "time", "event_time"):
            if self.cells[column].notna().any():
                frame[column] = self.cells[column]
        errors, df = self.std_errors, self._freedoms
        statistic = self.estimates / errors
        one = bands.pointwise_critical_value(level, df)
        every = np.maximum(one, self.critical_value(level, seed=seed)) if len(self) > 1 else one
        frame["estimate"] = self.estimates
        frame["std_error"] = errors
        frame["statistic"] = statistic
        frame["df"] = df
        frame["p_value"] = bands.two_sided_p_values(statistic, df)
        frame["conf_low"] = self.estimates - one * errors
        frame["conf_high"] = self.estimates + one * errors
        frame["band_low"] = self.estimates - every * errors
        frame["band_high"] = self.estimates + every * errors
        self._replace_inference(frame, level, seed)
        for column in ("n_treated", "n_comparison"):
            if column in self.cells:
                frame[column] = self.cells[column]
        if (self.cells["note"] != "").any():
            frame["note"] = self.cells["note"]
        return frame

    @property
    def _freedoms(self) -> Floats:
        """Degrees of freedom of each estimate, shape (K,); infinite for the normal law."""
        shared = np.inf if self.uncertainty.df is None else self.uncertainty.df
        if isinstance(self.uncertainty, BlockScores):
            own = self.uncertainty.freedoms[: len(self)]
            return np.where(np.isnan(own), shared, own)
        if self._has_few_replicates and self._has_arms:
            return np.where(self._arms < MANY_TREATED, np.maximum(self._arms - 1, 1.0), np.inf)
        return np.full(len(self), shared)

    @property
    def _least_freedom(self) -> float | None:
        """Degrees of freedom of intervals that hold at once; None for the normal law."""
        if not self._has_few_replicates:
            return self.uncertainty.df
        least = float(self._freedoms.min(initial=np.inf))
        return least if np.isfinite(least) else None

    def _replace_inference(self, frame: pd.DataFrame, level: float, seed: int) -> None:
        """Put statistics, p-values and sets of other methods in place."""
        found = self.inferences(level)
        rows = [row for row, inference in enumerate(found) if inference is not None]
        if not rows:
            return
        chosen = [inference for inference in found if inference is not None]
        errors = np.array([i.std_error for i in chosen])
        frame.loc[rows, "std_error"] = errors
        frame.loc[rows, "statistic"] = self.estimates[rows] / errors
        frame.loc[rows, "df"] = [_shown_df(i) for i in chosen]
        frame.loc[rows, "p_value"] = [i.p_value for i in chosen]
        frame.loc[rows, "conf_low"] = [i.confidence_set.low for i in chosen]
        frame.loc[rows, "conf_high"] = [i.confidence_set.high for i in chosen]
        clustered = np.array([i is None or i.method in CLUSTERED for i in found])
        frame[["band_low", "band_high"]] = np.nan
        if clustered.all() or self._is_large:
            self._widen_bands(frame, clustered, level, seed)
        own = np.where(np.isnan(self.std_errors), "", "own")
        frame["inference"] = [i.method if i else o for i, o in zip(found, own, strict=True)]

    def _widen_bands(
        self, frame: pd.DataFrame, clustered: NDArray[np.bool_], level: float, seed: int
    ) -> None:
        """Make bands from clustered standard errors, the estimates' correlation and the least df.

        The correlation is that of the estimator's own covariance; other rows have no band.
        """
        known = clustered & frame["std_error"].notna().to_numpy()
        if not known.any():
            return
        df = float(frame.loc[known, "df"].min())
        matrix = self.uncertainty.covariance()[: len(self), : len(self)]
        every = bands.simultaneous_critical_value(
            matrix[np.ix_(known, known)], level, df=df if np.isfinite(df) else None, seed=seed
        )
        one = bands.pointwise_critical_value(level, frame["df"].to_numpy(dtype=np.float64)[known])
        errors = frame.loc[known, "std_error"].to_numpy(dtype=np.float64)
        reach = np.maximum(one, every if len(self) > 1 else 0.0) * errors
        frame.loc[known, "band_low"] = self.estimates[known] - reach
        frame.loc[known, "band_high"] = self.estimates[known] + reach

    def summary(self, level: float = 0.95) -> str:
        """Return the result as text: what was estimated, from what, the table, the notes."""
        frame = self._shown(level)
        return "\n".join([*self._heading(), "", tables.to_text(frame), "", *self._footing(level)])

    def __repr__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        title, *lines = self._heading()
        notes = (*lines, *self._footing(0.95))
        return tables.to_html(self._shown(0.95), caption=title, notes=notes)

    def to_markdown(self, level: float = 0.95) -> str:
        """Return the table in Markdown."""
        return tables.to_markdown(self._shown(level))

    def to_latex(self, level: float = 0.95) -> str:
        """Return the table as a LaTeX tabular."""
        return tables.to_latex(self._shown(level))

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

    def _shown(self, level: float) -> pd.DataFrame:
        frame = self.tidy(level).drop(columns=["statistic", "df"])
        empty = [c for c in ("std_error", "band_low", "band_high") if frame[c].isna().all()]
        return frame.drop(columns=empty)

    def _heading(self) -> list[str]:
        return [
            f"{self.estimator}: {self.estimand}, outcome {self.design.outcome}",
            f"{self.design.facts.sentence()[:1].upper()}{self.design.facts.sentence()[1:]}.",
        ]

    def _footing(self, level: float) -> list[str]:
        found = self.inferences(level)
        others = [inference for inference in found if inference is not None]
        known = ~np.isnan(self.std_errors)
        lines = [f"Inference by {i.method}: {i.reason}. {' '.join(i.notes)}" for i in others]
        sets = [
            f"The {level:.0%} set of {i.estimate:.4g} is {i.confidence_set}."
            for i in others
            if len(i.confidence_set.intervals) > 1
        ]
        if any(inference is None for inference in np.array(found, dtype=object)[known]):
            sets.append(self._own_inference(level, only_rows=bool(others)))
        if any(i.method != "none" and np.isnan(i.std_error) for i in others):
            sets.append("Tests by ranks have no standard error; .std_errors has the estimator's.")
        level_note = _assignment_note(self.design)
        return [*dict.fromkeys(line.strip() for line in lines), *sets, *level_note, *self.notes]

    def _own_inference(self, level: float, *, only_rows: bool) -> str:
        """Say what the estimator's own standard errors are and which law they are read by."""
        df = self.uncertainty.df
        law = "normal" if df is None else f"t({df:g})"
        if self._least_freedom != df:
            law = f"t (fewer than {MANY_TREATED} treated clusters, less one) or normal"
        text = (
            f"{'Rows marked own: standard' if only_rows else 'Standard'} errors: "
            f"{self.uncertainty.method}, {plural(self.uncertainty.n_clusters, 'cluster')} by "
            f"{' and '.join(self.design.cluster_columns)}; {level:.0%} intervals from the {law} "
            "distribution"
        )
        if only_rows:
            return text + (", bands hold for these rows at once." if self._is_large else ".")
        return text + ", bands hold for all rows at once."

    def _after(self) -> NDArray[np.bool_]:
        if self.cells["event_time"].isna().all():
            return np.ones(len(self), dtype=bool)
        after = (self.cells["event_time"] >= 0).to_numpy()
        if not after.any():
            raise EstimationError(
                "no cell lies after treatment began, so there is no effect to average. Check the "
                "cohort column against the panel's periods."
            )
        return np.asarray(after)

    def _balanced_cells(self, balanced: int) -> NDArray[np.bool_]:
        """Keep cohorts estimated from 0 to ``balanced``, and event times that all of them have."""
        known = self.cells.assign(known=~np.isnan(self.estimates)).pivot_table(
            index="cohort", columns="event_time", values="known", aggfunc="max", fill_value=False
        )
        wanted = np.arange(balanced + 1, dtype=np.float64)
        if not set(wanted) <= set(known.columns):
            return np.zeros(len(self), dtype=bool)
        known = known[known[wanted].all(axis=1)]
        early = known.columns.to_numpy(dtype=np.float64) <= balanced
        shared = known.columns[known.all(axis=0).to_numpy() & early]
        kept = self.cells["cohort"].isin(known.index) & self.cells["event_time"].isin(shared)
        return np.asarray(kept)

    def _presence(self) -> Floats:
        """Return the share of each cell's cohort that is observed in its period, shape (K,)."""
        if "presence" not in self.cells:
            raise EstimationError(
                f"these estimates of {self.estimator} do not count the rows behind them, so they "
                "cannot be averaged by rows. Average by cohort size, or start from the cells of an "
                "estimator of regressions, such as Imputation or SunAbraham."
            )
        return self.cells["presence"].to_numpy(dtype=np.float64)

    def _average(self, incidence: Floats, head: pd.DataFrame, how: str) -> Result:
        index = np.searchsorted(
            self.shares.index.to_numpy(dtype=np.float64),
            self.cells["cohort"].to_numpy(dtype=np.float64),
        )
        shares = self.shares.to_numpy(dtype=np.float64)
        average = share_average(self.estimates, incidence, index, shares)
        head = head.reindex(columns=[*CELL_COLUMNS, *head.columns.difference(list(CELL_COLUMNS))])
        head["estimate"] = average.estimates
        head["weight"] = incidence @ shares[index]
        head["note"] = np.where(
            np.isnan(average.estimates), "no cell of this kind has an estimate", ""
        )
        keeps_cohorts = bool(head["cohort"].notna().all())
        jacobian = average.jacobian() if keeps_cohorts else average.jacobian()[: len(head)]
        return replace(
            self,
            cells=head,
            uncertainty=self.uncertainty.combine(jacobian),
            cohort_weights=self._combined_weights(np.nan_to_num(average.weights)),
            shares=self.shares if keeps_cohorts else pd.Series(dtype=np.float64),
            estimand=f"{self.estimand}, averaged by {how.replace('_', ' ')}",
        )

    def _linear(self, weights: Floats, head: pd.DataFrame, how: str) -> Result:
        """Combine the estimates with fixed weights, shape (A, K), into a view without shares."""
        known = np.where(np.isnan(self.estimates), 0.0, self.estimates)
        head = head.reindex(columns=[*CELL_COLUMNS])
        head["estimate"] = weights @ known
        head["weight"] = 1.0
        head["note"] = ""
        return replace(
            self,
            cells=head,
            uncertainty=self.uncertainty.combine(np.pad(weights, ((0, 0), (0, len(self.shares))))),
            shares=pd.Series(dtype=np.float64),
            cohort_weights=self._combined_weights(np.abs(weights)),
            treated_clusters=None
            if len(self.shares) or not self._has_arms
            else effective_treated(weights, self._arms),
            estimand=f"{self.estimand}{how}",
        )

    def _combined_weights(self, weights: Floats) -> Floats | None:
        """Return the weight of each cohort in ``weights @ estimates``, shape (A, C)."""
        return weights @ self._weights_of_cohorts if self._has_arms else None

    def _mean_after(self) -> Result:
        """Average views by event time or period with equal weights."""
        keep = ~np.isnan(self.estimates)
        keep &= self._after()
        weights = (keep / keep.sum())[None, :]
        return self._linear(weights, pd.DataFrame({"term": ["att"]}), ", then with equal weights")

    def _plain_att(self, weighting: Weighting | None) -> Result:
        """Average estimates without cohorts: over event times, over periods, or the first term."""
        for grouping in ("event_time", "time"):
            if self.cells[grouping].notna().any() and weighting in (None, grouping):
                return self._mean_after()
        if weighting is not None:
            raise EstimationError(
                f"these estimates of {self.estimator} cannot be averaged with "
                f'weighting="{weighting}"; they do not carry what it needs. Leave weighting out, '
                "or start from group-time effects."
            )
        if len(self) == 1:
            return self
        first = np.zeros((1, len(self)))
        first[0, 0] = 1.0
        return self._linear(first, pd.DataFrame({"term": self.cells["term"].iloc[[0]]}), "")

    def _plain_by(self, grouping: str) -> Result:
        if self.cells[grouping].notna().all():
            return self
        raise EstimationError(
            f"these estimates of {self.estimator} cannot be averaged by {grouping}: they carry no "
            f"{grouping}. Fit an estimator of group-time effects, such as CallawaySantAnna."
        )


def _shown_df(inference: Inference) -> float:
    """Degrees of freedom of a method: infinite for the normal law, NaN where it has no law."""
    if inference.df is not None:
        return inference.df
    return np.inf if inference.method in CLUSTERED else np.nan


def _sample_of_table(design: Design, table: TableSample, absorbing: bool) -> Sample:
    """Return a sample whose rows are each cluster's units of one cohort, by their mean outcome."""
    rows = table.cluster_means
    cohorts = np.append(design.cohort_values, np.nan)[rows.codes] if absorbing else None
    return Sample(
        rows.outcomes,
        cohorts,
        rows.clusters,
        rows.sizes,
        design.periods,
        design.anticipation,
        irregular="covariates stay in their table" if design.covariates else "",
    )


def _assignment_note(design: Design) -> tuple[str, ...]:
    """Doubt clusters that are units where all units of a wider group were treated together."""
    if design.clusters or design.assigned_by or design.table is not None:
        return ()
    if not 0 < design.facts.n_treated_units < design.n_units:
        return ()
    frame, cohort = design.sample.frame, design.cohort_codes
    used = (design.panel.unit, design.panel.time, design.outcome, design.treatment_column)
    for name in frame.columns:
        if name in used or pd.api.types.is_float_dtype(frame[name]):
            continue
        try:
            groups = pd.factorize(design.sample.unit_values(str(name)))[0]
        except PanelError:
            continue
        count = int(groups.max()) + 1
        together = len(np.unique(groups * (cohort.max() + 1) + cohort)) == count
        if groups.min() >= 0 and len(np.unique(cohort)) < count <= design.n_units / 2 and together:
            return (
                f'All units of one "{name}" share their treatment date ({count:,} of them, '
                f"{design.n_units:,} units). If treatment was assigned to them as wholes, their "
                "units' errors are no independent evidence: give Design "
                f'clusters="{name}".',
            )
    return ()


def _sample_of_stays(design: Design, cohorts: Floats | None) -> Sample:
    """Return a sample whose rows are units' stays in clusters, where units move between them.

    Weights that change within a unit are averaged over the stay.
    """
    rows = design.rows()
    clusters = rows.cluster_codes[:, 0]
    width = int(clusters.max()) + 1
    moving = bool(((np.diff(clusters) != 0) & (np.diff(rows.unit_codes) == 0)).any())
    stays, codes = np.unique(rows.unit_codes * width + clusters, return_inverse=True)
    outcomes = np.full((len(stays), len(design.periods)), np.nan)
    outcomes[codes, rows.time_codes] = rows.outcome
    weights = None
    if rows.weights is not None:
        weights = np.bincount(codes, rows.weights) / np.bincount(codes)
    if cohorts is not None:
        treated = np.bincount(codes, np.nan_to_num(rows.regressors[:, 0])) > 0
        cohorts = np.where(treated, cohorts[stays // width], np.nan)
    return Sample(
        outcomes,
        cohorts,
        stays % width,
        weights,
        design.periods,
        design.anticipation,
        irregular="units move between clusters" if moving else "weights change within units",
    )
