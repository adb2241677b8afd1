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
