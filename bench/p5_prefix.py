"""P5: the first token of a prompt of 4,096 tokens whose beginning the engine has seen, against one that it has not."""

import argparse
import random
import statistics

from bench.engine_load import VOCABULARY, Load, Served, random_model
from bench.row import Row

__all__ = ["rows"]

_SIZE = 4096
_LAST = 12
"""Tokens at the end that are new."""
_MOST = 0.05


def rows(runs: int = 3) -> list[Row]:
    served = Served(random_model(max_position_embeddings=8192), prefix_cache=True)
    rng = random.Random(5)

    def prompt(size: int) -> list[int]:
        return [rng.randrange(2, VOCABULARY) for _ in range(size)]

    served.run(Load("warm", [prompt(_SIZE)], [1]))
    pairs = []
    for _ in range(runs):
        whole = prompt(_SIZE)
        served.run(Load("miss", [whole], [1]))
        missed_s = served.first_s
        assert served.cached == 0
        served.run(Load("hit", [[*whole[:-_LAST], *prompt(_LAST)]], [1]))
        assert served.cached >= _SIZE - 2 * _LAST - 16
        pairs.append((served.first_s, missed_s))
    served.engine.close()
    hit, missed = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(hit_s / missed_s for hit_s, missed_s in pairs)
    return [
        Row(
            "P5",
            f"first token of {_SIZE} that are known",
            f"{hit * 1e3:.0f} ms",
            f"{missed * 1e3:,.0f} ms: unknown",
            ratio,
            f"<= {_MOST:.0%}",
            ratio <= _MOST,
        )
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    for row in rows(parser.parse_args().runs):
        print(row)
