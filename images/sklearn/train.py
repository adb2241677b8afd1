#!/usr/bin/env python3
"""Train a digit classifier and report its accuracy as the last line of output, in JSON.

The result depends on the model, its settings and the seed only. `--seconds-at-least` adds
validation rounds, not chance.
"""

import argparse
import json
import math
import os
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

MIN_ROUNDS = 3

# Each takes the inverse regularisation strength C and a seed, and may have no use for them.
MODELS: dict[str, Callable[[float, int], ClassifierMixin]] = {
    "logistic": lambda c, seed: make_pipeline(
        StandardScaler(), LogisticRegression(C=c, max_iter=1000, random_state=seed)
    ),
    "svc": lambda c, seed: make_pipeline(StandardScaler(), SVC(C=c, random_state=seed)),
    "forest": lambda _, seed: RandomForestClassifier(n_estimators=200, random_state=seed),
    "knn": lambda _c, _seed: KNeighborsClassifier(n_neighbors=3),
}
MODELS_WITH_C = ("logistic", "svc")


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train a classifier on scikit-learn's digits.")
    parser.add_argument("--model", choices=MODELS, default="logistic")
    parser.add_argument(
        "--C", type=float, help="inverse regularisation strength of logistic and svc (default: 1)"
    )
    parser.add_argument("--seed", type=int, default=0, help="decides every split (default: 0)")
    parser.add_argument(
        "--seconds-at-least",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="go on validating for this long, to keep a node busy (default: 0)",
    )
    args = parser.parse_args()
    if args.C is None:
        args.C = 1.0
    elif args.model not in MODELS_WITH_C:
        parser.error(f"--C means nothing to {args.model}; it is for {' and '.join(MODELS_WITH_C)}")
    if not (math.isfinite(args.C) and args.C > 0):
        parser.error("--C must be a positive number")
    if not 0 <= args.seed < 2**31:
        parser.error("--seed must be between 0 and 2147483647")
    if not (math.isfinite(args.seconds_at_least) and args.seconds_at_least >= 0):
        parser.error("--seconds-at-least must be zero or more")
    return args


def stop(signum: int, _frame: FrameType | None) -> NoReturn:
    print(f"stopped by {signal.Signals(signum).name}", file=sys.stderr)
    sys.exit(128 + signum)


def main() -> None:
    # The first process of a container has no default handler: unhandled, SIGTERM does nothing.
    signal.signal(signal.SIGTERM, stop)
    args = parse_args()
    for name in ("ATELIER_RUN_ID", "ATELIER_EXPERIMENT"):
        if name in os.environ:
            print(f"{name}={os.environ[name]}")

    started = time.monotonic()
    images, labels = load_digits(return_X_y=True)
    x_train, x_test, y_train, y_test = train_test_split(
        images, labels, test_size=0.25, stratify=labels, random_state=args.seed
    )
    print(f"training {args.model} on {len(x_train)} images, testing on {len(x_test)}")

    # Rounds of validation on parts of the training set; the test set stays unseen until the end.
    scores: list[float] = []
    while len(scores) < MIN_ROUNDS or time.monotonic() - started < args.seconds_at_least:
        x_fit, x_check, y_fit, y_check = train_test_split(
            x_train, y_train, test_size=0.2, random_state=(args.seed + len(scores)) % 2**31
        )
        model = MODELS[args.model](args.C, args.seed).fit(x_fit, y_fit)
        scores.append(float(model.score(x_check, y_check)))
        elapsed = time.monotonic() - started
        print(f"round {len(scores)}: validation accuracy {scores[-1]:.4f} ({elapsed:.1f} s)")

    model = MODELS[args.model](args.C, args.seed).fit(x_train, y_train)
    result = {
        "model": args.model,
        "seed": args.seed,
        "rounds": len(scores),
        "validation_accuracy": round(float(np.mean(scores)), 4),
        "accuracy": round(float(model.score(x_test, y_test)), 4),
        "seconds": round(time.monotonic() - started, 1),
    }
    if args.model in MODELS_WITH_C:
        result["C"] = args.C
    print(json.dumps(result))


if __name__ == "__main__":
    main()
