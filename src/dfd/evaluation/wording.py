"""Figures as text that never claims to be exact: only a figure that is 1 or 0 is shown as one."""


def number(value: float | None) -> str:
    """A figure with three decimals; a dash when it is unknown. Only an exact 1 or 0 is shown as one."""
    if value is None:
        return "–"
    shown = f"{value:.3f}"
    if shown == "1.000" and value < 1:
        return "> 0.999"
    return "< 0.001" if shown == "0.000" and value > 0 else shown


def times_in_100(auroc: float) -> str:
    """How often in 100 pairs the fake scores higher, from an AUROC in 0..1: '87', '99.7' or 'more than 99.9'."""
    return of_100(auroc, 0 if 0.01 <= auroc <= 0.99 or auroc in (0, 1) else 1)


def of_100(share: float, decimals: int) -> str:
    """A share in hundredths, not rounded to all or none of them; `decimals` is 1 for shares near these."""
    shown = f"{100 * share:.{decimals}f}"
    if float(shown) == 100 and share < 1:
        return "more than 99.9"
    return "less than 0.1" if float(shown) == 0 and share > 0 else shown
