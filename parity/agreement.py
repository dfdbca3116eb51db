"""Write crates/stats/tests/agreement/recorded.json: agreement and strengths by other people's code.

python -m venv venv
venv/bin/pip install krippendorff==0.9.0 statsmodels==0.15.0 choix==0.4.1 numpy scipy
venv/bin/python parity/agreement.py
"""

import json
import pathlib
from importlib.metadata import version

import choix
import krippendorff
import numpy as np
from statsmodels.stats.inter_rater import aggregate_raters, cohens_kappa, fleiss_kappa

OUT = pathlib.Path(__file__).parents[1] / "crates/stats/tests/agreement/recorded.json"
CATEGORIES = 3


def number(value):
    """None where a coefficient is not defined."""
    return None if value is None or not np.isfinite(value) else float(value)


def alpha(units, n_raters):
    """Return Krippendorff's alpha of nominal ratings."""
    table = np.full((n_raters, len(units)), np.nan)
    for column, unit in enumerate(units):
        table[: len(unit), column] = unit
    try:
        return number(krippendorff.alpha(table, level_of_measurement="nominal"))
    except (AssertionError, ValueError):
        return None


def kappa_of_all(units, n_raters):
    """Return Fleiss' kappa of the units that everybody rated."""
    full = np.array([unit for unit in units if len(unit) == n_raters])
    if not full.size:
        return None
    counts, _ = aggregate_raters(full, n_cat=CATEGORIES)
    with np.errstate(all="ignore"):
        return number(fleiss_kappa(counts))


def kappa_of_two(pairs):
    """Return Cohen's kappa of two raters."""
    table = np.zeros((CATEGORIES, CATEGORIES))
    for a, b in pairs:
        table[a, b] += 1
    with np.errstate(all="ignore"):
        return number(cohens_kappa(table).kappa)


def ratings(rng, n_items, n_raters, noise, ragged):
    """Draw ratings that agree with a truth but for noise."""
    units = []
    for _ in range(n_items):
        truth = rng.integers(CATEGORIES)
        n = rng.integers(1, n_raters + 1) if ragged else n_raters
        unit = [rng.integers(CATEGORIES) if rng.random() < noise else truth for _ in range(n)]
        units.append([int(rating) for rating in unit])
    return units


def duels(rng, n_models, n_duels):
    """Draw who beat whom by strengths."""
    strengths = rng.normal(size=n_models)
    wins = np.zeros((n_models, n_models))
    for _ in range(n_duels):
        i, j = rng.choice(n_models, 2, replace=False)
        p = 1 / (1 + np.exp(strengths[j] - strengths[i]))
        wins[(i, j) if rng.random() < p else (j, i)] += 1
    return wins


def main():
    """Write the file."""
    rng = np.random.default_rng(7)
    cases = []
    for n_items, n_raters, noise, ragged in [
        (30, 3, 0.3, False),
        (200, 4, 0.7, True),
        (12, 2, 0.5, False),
        (50, 5, 1.0, True),
        (5, 3, 0.0, False),
    ]:
        units = ratings(rng, n_items, n_raters, noise, ragged)
        pairs = [unit[:2] for unit in units if len(unit) >= 2]
        cases.append(
            {
                "n_raters": n_raters,
                "units": units,
                "krippendorff": alpha(units, n_raters),
                "fleiss": kappa_of_all(units, n_raters),
                "cohen": kappa_of_two(pairs),
            }
        )
    constant = [[1, 1, 1]] * 4
    cases.append({"n_raters": 3, "units": constant, "krippendorff": None, "fleiss": None, "cohen": None})
    models = []
    for n_models, n_duels in [(2, 30), (4, 200), (8, 1000)]:
        wins = duels(rng, n_models, n_duels)
        strengths = choix.mm_pairwise(
            n_models,
            [(i, j) for i in range(n_models) for j in range(n_models) for _ in range(int(wins[i, j]))],
            max_iter=100000,
            tol=1e-12,
        )
        models.append({"wins": wins.tolist(), "strengths": (strengths - strengths.mean()).tolist()})
    versions = {name: version(name) for name in ["krippendorff", "statsmodels", "choix", "numpy"]}
    OUT.write_text(json.dumps({"versions": versions, "agreement": cases, "bradley_terry": models}) + "\n")


main()
