"""The case recommendation beside ALS and BPR of ``implicit``, in one run and on the same questions.

    hardcover run recommendation --data ml-100k.inter ml-100k.item && python benchmarks/recommendation.py

``implicit`` runs in ``.tools/windows``, tuned on the questions of the validation part; popularity, item-kNN and PureSVD are the case's own stage ``compare``.
"""

import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import page
import pandas as pd

from casebook.recommendation import compare
from hardcover import Case

PEER = """
import itertools, json, sys
import numpy as np, pandas as pd, scipy.sparse as sparse
from implicit.als import AlternatingLeastSquares
from implicit.bpr import BayesianPersonalizedRanking

folder = sys.argv[1]
parts = {part: (pd.read_parquet(f"{folder}/{part}_rows.parquet"), pd.read_parquet(f"{folder}/{part}_rated.parquet")) for part in ("validation", "holdout")}
every = pd.concat([each for pair in parts.values() for each in pair])
users, films = pd.Index(every["user"].unique()), pd.Index(every["film"].unique())

def scores(model, part):
    rows, rated = parts[part]
    seen = sparse.csr_matrix((np.ones(len(rated)), (users.get_indexer(rated["user"]), films.get_indexer(rated["film"]))), shape=(len(users), len(films)))
    seen.data[:] = 1
    model.fit(seen, show_progress=False)
    mine, theirs = np.asarray(model.user_factors), np.asarray(model.item_factors)
    return (mine[users.get_indexer(rows["user"])] * theirs[films.get_indexer(rows["film"])]).sum(axis=1)

def ndcg(rows, score):
    table = rows.assign(score=-score).sort_values(["query", "score"], kind="stable")
    place = table.groupby("query").cumcount()
    gain = (table["relevance"] / np.log2(place + 2))[place < 10].groupby(table["query"]).sum()
    liked = table.groupby("query")["relevance"].sum()
    return float((gain / np.cumsum(1 / np.log2(np.arange(10) + 2))[np.minimum(liked, 10).astype(int) - 1]).mean())

als = [dict(factors=f, regularization=r, alpha=a) for f, r, a in itertools.product((8, 16, 32, 64), (0.01, 0.1, 1.0), (1, 5, 20))]
bpr = [dict(factors=f, learning_rate=r, iterations=i) for f, r, i in itertools.product((16, 32, 64), (0.01, 0.05), (50, 100, 200))]
said = {}
for name, kind, grid in (("implicit ALS", AlternatingLeastSquares, als), ("implicit BPR", BayesianPersonalizedRanking, bpr)):
    rows = parts["validation"][0]
    best = max(grid, key=lambda each: ndcg(rows, scores(kind(random_state=1, num_threads=2, **each), "validation")))
    said[name] = [best, scores(kind(random_state=1, num_threads=2, **best), "holdout").tolist()]
print(json.dumps(said))
"""


def implicit_scores(clean: pd.DataFrame) -> dict[str, tuple[dict, np.ndarray]]:
    """Tune ALS and BPR on the questions of the validation part, and return the best settings and scores of the holdout's rows."""
    with tempfile.TemporaryDirectory(prefix="hardcover-recommendation-") as folder:
        for part in ("validation", "holdout"):
            rows, rated = compare.known_before(clean, part)
            rows[["user", "film", "query", "relevance"]].to_parquet(Path(folder) / f"{part}_rows.parquet")
            rated[["user", "film"]].to_parquet(Path(folder) / f"{part}_rated.parquet")
        command = [page.peers("windows"), "-c", PEER, folder]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    return {name: (best, np.array(scores)) for name, (best, scores) in found.items()}


def main() -> None:
    """Measure all orders and write the section of the page."""
    here = Case("recommendation")
    clean, predictions = here.load("clean"), here.load("predictions")
    peers = implicit_scores(clean)
    more = {name: scores for name, (_, scores) in peers.items()}
    found = compare.compare(clean, predictions, here.parameter("top"), here.parameter("evaluation"), more)
    rows, _ = compare.known_before(clean, "holdout")
    settings = "; ".join(f"{name}: {best}" for name, (best, _) in peers.items())
    lines = [
        f"{here.load('source')['description']}; {rows['query'].nunique()} questions about {rows['film'].nunique():,} films. Tuned: {settings}.",
        "",
        "| order | NDCG@10 | the model is above by | recall@10 | people with < 20 ratings | catalogue shown | novelty, bits |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, each in found.items():
        low, high = each["interval"]
        least, most = each["above_interval"]
        above = "" if name == "Hardcover" else f"{each['above']:.3f} [{least:.3f}, {most:.3f}]"
        lines.append(
            f"| {name} | {each['ndcg']:.3f} [{low:.3f}, {high:.3f}] | {above} | {each['recall']:.3f} "
            f"| {each['cold_users']:.3f} | {each['coverage']:.1%} | {each['novelty']:.2f} |"
        )
    page.keep("recommendation", "\n".join(lines))


if __name__ == "__main__":
    main()
