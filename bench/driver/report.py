"""Figures to tables."""

from statistics import median


def spread(values, digits=2):
    """The median, with the least and the most."""
    return f"{median(values):.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def ratios(ours, theirs):
    """Ours by theirs, of the rounds that were played one after the other."""
    return [a / b for a, b in zip(ours, theirs, strict=True)]


def table(heads, rows):
    lines = [heads, ["---"] + ["---:"] * (len(heads) - 1), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"


def comparison(title, rounds, figure, digits=2, unit=""):
    """One case: each proxy's figure, and ours by theirs. The least is the best."""
    figures = {name: [one[figure] for one in many] for name, many in rounds.items()}
    rows = []
    for name, values in figures.items():
        against = "1" if name == "gateway" else spread(ratios(figures["gateway"], values))
        rows.append([name, spread(values, digits), against])
    return f"### {title}\n\n" + table(["", unit, "gateway by it"], rows)


def best_rival(rounds, figure):
    """The rival with the least median, and ours by it."""
    figures = {name: [one[figure] for one in many] for name, many in rounds.items()}
    ours = figures.pop("gateway")
    if not figures:
        return None, []
    best = min(figures, key=lambda name: median(figures[name]))
    return best, ratios(ours, figures[best])


def by_case(case, result):
    """The tables of one case."""
    rows = []
    for name, rounds in result["full"].items():
        thousands, busy = [one["rps"] / 1000 for one in rounds], [100 * one["busy"] for one in rounds]
        row = [name, spread(thousands, 1), spread(busy, 0)]
        for kind in ("single", "half"):
            for figure in ("p50", "p99"):
                values = [one[figure] for one in result[kind][name]]
                row.append(spread(values, 0) if values else "")
        rows.append(row)
    heads = ["", "1000 requests/s", "% of its core", "alone: p50 µs", "p99", "half load: p50 µs", "p99"]
    return comparison(case.title, result["full"], "cpu_us", unit="CPU-µs a request") + "\n" + table(heads, rows)


def summary(results):
    """Each case on one line."""
    rows = []
    for case, result in results:
        rival, ratio = best_rival(result["full"], "cpu_us")
        ours, theirs = ([one["cpu_us"] for one in result["full"][name]] for name in ("gateway", rival))
        rows.append([case.title, f"{median(ours):.2f}", rival, f"{median(theirs):.2f}", spread(ratio)])
    return table(["case", "gateway, CPU-µs", "best rival", "its CPU-µs", "gateway by it"], rows)


def memory(found):
    steps = {"none": "no connection", "connected": "10,000 new", "used": "10,000 used once"}
    kinds = {"rss": "resident", "pss": "PSS", "own": "own"}
    heads = ["MiB"] + [f"{step}: {kind}" for step in steps.values() for kind in kinds.values()]
    row = lambda one: [f"{one[step][kind] / 1024:.1f}" for step in steps for kind in kinds]
    rows = [[name, *row(one)] for name, one in found.items()]
    return "### Memory\n\n" + table(heads, rows)


def alone(parts, requests):
    checks = [[name, f"{row['us']:.2f}", f"{row['allocations']:.1f}"] for name, row in parts.items()]
    counted = ("allocations", "reallocations", "bytes")
    whole = [[name, *(f"{row[figure]:.1f}" for figure in counted)] for name, row in requests.items()]
    return "\n".join([
        "### The checks alone\n", table(["check", "µs", "allocations"], checks),
        "### Allocations of whole requests\n", table(["request", *counted], whole),
    ])
