"""Write crates/stats/tests/pooled/recorded.json: policies compared over seeds, by scipy and by plain numpy.

python -m venv venv
venv/bin/pip install numpy==2.4.6 scipy==1.17.1
venv/bin/python parity/pooled.py
"""

import itertools
import json
import pathlib
from importlib.metadata import version

import numpy as np
from scipy import stats

OUT = pathlib.Path(__file__).parents[1] / "crates/stats/tests/pooled/recorded.json"
N_RESAMPLES = 200_000


def contrast(sums, kind):
    """Return what two policies' figures make; `sums` has part and whole of the first, then of the second."""
    first, second = sums[..., 0] / sums[..., 1], sums[..., 2] / sums[..., 3]
    return second - first if kind == "difference" else second / first


def bootstrap(rng, seeds, kind):
    """Return the mean contrast of many resamples of seeds, and of images within each drawn seed."""
    total = np.zeros(N_RESAMPLES)
    chosen = rng.integers(len(seeds), size=(N_RESAMPLES, len(seeds)))
    for place in range(len(seeds)):
        for which, images in enumerate(seeds):
            here = np.flatnonzero(chosen[:, place] == which)
            weights = rng.multinomial(len(images), np.full(len(images), 1 / len(images)), size=len(here))
            total[here] += contrast(weights @ images, kind)
    return total / len(seeds)


def exchanged(seeds):
    """Return how often the mean difference is as large over all exchanges of policies, image by image."""
    observed = abs(np.mean([contrast(images.sum(0), "difference") for images in seeds]))
    sizes = [len(images) for images in seeds]
    as_large = 0
    for coins in itertools.product([False, True], repeat=sum(sizes)):
        parts = np.split(np.array(coins), np.cumsum(sizes)[:-1])
        turned = [
            np.where(coin[:, None], images[:, [2, 3, 0, 1]], images).sum(0)
            for images, coin in zip(seeds, parts, strict=True)
        ]
        drawn = abs(np.mean([contrast(sums, "difference") for sums in turned]))
        as_large += drawn >= observed - 1e-9
    return as_large / 2 ** sum(sizes)


def images(rng, n, better):
    """Draw named and false objects of two policies; every image has some of both."""
    named = rng.integers(2, 7, size=(n, 2))
    false = rng.binomial(named, [0.45, max(0.05, 0.45 - better)])
    false[:, 0] = np.maximum(false[:, 0], 1)
    return np.stack([false[:, 0], named[:, 0], false[:, 1], named[:, 1]], axis=1).astype(float)


def main():
    """Write the file."""
    rng = np.random.default_rng(11)
    cases = []
    for kind, n_images, better in [
        ("difference", [4, 3, 5], [0.2, 0.3, 0.1]),
        ("difference", [30, 25, 30, 20, 25], [0.05, 0.4, 0.2, 0.1, 0.3]),
        ("ratio", [40, 30, 40], [0.1, 0.2, 0.3]),
    ]:
        seeds = [images(rng, n, by) for n, by in zip(n_images, better, strict=True)]
        values = np.array([contrast(of.sum(0), kind) for of in seeds])
        drawn = bootstrap(rng, seeds, kind)
        interval = stats.t.interval(0.95, len(values) - 1, loc=values.mean(), scale=stats.sem(values))
        signs = stats.permutation_test((values,), np.mean, permutation_type="samples", n_resamples=np.inf)
        is_small = kind == "difference" and sum(n_images) <= 13
        cases.append(
            {
                "contrast": kind,
                "seeds": [of.astype(int).tolist() for of in seeds],
                "values": values.tolist(),
                "mean": values.mean(),
                "student": list(interval),
                "bootstrap": np.quantile(drawn, [0.025, 0.975]).tolist(),
                "bootstrap_std": drawn.std(ddof=1),
                "p_seeds": float(signs.pvalue) if kind == "difference" else None,
                "p_images": exchanged(seeds) if is_small else None,
            }
        )
    quantiles = [float(stats.t.ppf(0.975, df)) for df in range(1, 41)]
    versions = {name: version(name) for name in ["numpy", "scipy"]}
    OUT.write_text(json.dumps({"versions": versions, "quantiles": quantiles, "cases": cases}) + "\n")


main()
