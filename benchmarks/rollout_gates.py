"""How often the gates of a rollout err: simulated candidates of several kinds, judged as requests come in.

    python benchmarks/rollout_gates.py
    python benchmarks/rollout_gates.py --rollouts 200 --requests 2000

Each rollout compares requests until all gates have passed or one has failed, looking after every 50. It uses the gates
of `router.gates`; what a candidate does wrong is drawn at random, request by request, with its kind's shares.

The second table is of readers: they review results of both versions, and disagree with the stable one at
`READERS_DISAGREE`. Its gate can only fail, so what has not failed after so many reviews is not held up.
"""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from router.gates import LEAST_TIMED, RULES, SLOWER, judge_readers, verdict

LOOK_AFTER = 50
SPREAD = 0.25
"""Of the logarithm of the time of one request, as measured on a busy machine."""
READERS_DISAGREE = 0.05
"""Share of reviews that disagree with the stable version."""
REVIEWS = (100, 500, 2000)
"""Reviews of both versions in one step."""


@dataclass(frozen=True)
class Kind:
    """A kind of candidate: the share of its requests that are bad, by gate, and how much slower it is.

    Attributes:
        good: whether it should be promoted.
    """

    name: str
    good: bool
    errors: float = 0.0
    slower: float = 1.0
    flips: float = 0.0
    drift: float = 0.0
    heat_maps: float = 0.0


KINDS = (
    Kind("the same model", good=True),
    Kind("a retrained model that agrees", good=True, flips=0.003, drift=0.02, heat_maps=0.02),
    Kind("one failure in 2,000", good=True, errors=0.0005),
    Kind("noise for weights", good=False, flips=0.5, drift=0.9, heat_maps=0.9),
    Kind("3 times slower", good=False, slower=3.0),
    Kind("1.5 times slower", good=False, slower=1.5),
    Kind("crashes: 5 % of requests fail", good=False, errors=0.05),
    Kind("1 % of requests fail", good=False, errors=0.01),
    Kind("flips 2 % of classes", good=False, flips=0.02),
    Kind("looks elsewhere: a quarter of the heat maps", good=False, heat_maps=0.25),
)


def rollout(kind: Kind, most: int, random: np.random.Generator) -> tuple[str, int, str]:
    """One rollout: how it ended, after how many requests, and by which gate where it failed."""
    stable = random.lognormal(0, SPREAD, most)
    candidate = random.lognormal(np.log(kind.slower), SPREAD, most)
    shares = {"errors": kind.errors, "flips": kind.flips, "drift": kind.drift, "heat_maps": kind.heat_maps}
    bad: dict[str, NDArray[np.bool_]] = {name: random.random(most) < share for name, share in shares.items()}
    for seen in range(LOOK_AFTER, most + 1, LOOK_AFTER):
        gates = {name: RULES[name].judge(values[:seen]) for name, values in bad.items()}
        if seen >= LEAST_TIMED:
            slow = SLOWER * np.quantile(stable[:seen], 0.95)
            gates["latency"] = RULES["latency"].judge(candidate[:seen] > slow)
        said = verdict(gates)
        if said != "undecided":
            failed = [name for name, gate in gates.items() if gate.verdict == "failed"]
            return said, seen, " and ".join(failed)
    return "undecided", most, ""


def failed_by_readers(times: float, weight: int, most: int, random: np.random.Generator) -> bool:
    """Whether a candidate of this weight in percent fails, with which readers disagree so many times as often."""
    candidate = random.random(most) < weight / 100
    disagreed = random.random(most) < READERS_DISAGREE * np.where(candidate, times, 1)
    return judge_readers(candidate, disagreed).verdict == "failed"


def print_readers(rollouts: int) -> None:
    """Simulate readers, and print a Markdown table."""
    columns = ["readers disagree", "candidate reads", *(f"failed by {most:,} reviews" for most in REVIEWS)]
    print(f"| {' | '.join(columns)} |")
    print("|" + "---|" * len(columns))
    for times in (0.5, 1.0, 2.0, 4.0):
        for weight in (5, 25, 50):
            random = np.random.default_rng(0)
            shares = [
                np.mean([failed_by_readers(times, weight, most, random) for _ in range(rollouts)]) for most in REVIEWS
            ]
            print(f"| {times:g} times as often | {weight} % | " + " | ".join(f"{share:.1%}" for share in shares) + " |")


def main() -> None:
    """Simulate each kind of candidate, and print Markdown tables."""
    parser = argparse.ArgumentParser(description="Simulate rollouts of good and bad candidates.")
    parser.add_argument("--rollouts", type=int, default=1000, help="of each kind (default: %(default)s)")
    parser.add_argument("--requests", type=int, default=5000, help="most of a rollout (default: %(default)s)")
    given = parser.parse_args()
    print("| candidate | should be | passed | failed | undecided | requests, median | by the gate |")
    print("|---|---|---|---|---|---|---|")
    for kind in KINDS:
        random = np.random.default_rng(0)
        ends = [rollout(kind, given.requests, random) for _ in range(given.rollouts)]
        share = {end: sum(said == end for said, _, _ in ends) / len(ends) for end in ("passed", "failed", "undecided")}
        gates = Counter(gate for said, _, gate in ends if said == "failed").most_common(2)
        print(
            f"| {kind.name} | {'promoted' if kind.good else 'aborted'} | "
            + " | ".join(f"{share[end]:.1%}" for end in share)
            + f" | {np.median([count for _, count, _ in ends]):.0f} | "
            + (", ".join(f"{gate} {count}" for gate, count in gates) or "")
            + " |"
        )
    print()
    print_readers(given.rollouts)


if __name__ == "__main__":
    main()
