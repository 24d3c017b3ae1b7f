"""What several estimators share, between the kernels and the estimators.

Plans of cells, regressions on the absorbed design, donor pools, completed outcomes: each reads a
Design and returns arrays, frames or a Result. Nothing here imports an estimator.
"""
