"""Verdicts on screen: their colours, and what is said below a long table of them."""

import pandas as pd

COLORS = {"fake": "red", "unsure": "yellow", "real": "green"}
ROWS_ON_SCREEN = 40


def colored(verdict: str) -> str:
    """A verdict in rich's markup."""
    return f"[{COLORS[verdict]}]{verdict}[/]"


def rest(total: int) -> str | None:
    """What is said of rows that the screen leaves out; None if it shows all of them."""
    return f"… and {total - ROWS_ON_SCREEN} more" if total > ROWS_ON_SCREEN else None


def counted(table: pd.DataFrame, noun: str, failed: str) -> str:
    """How many of each verdict; columns `verdict` and `error`. `failed`: what is said of rows with an error."""
    counts = ", ".join(f"{(table['verdict'] == name).sum()} {name}" for name in COLORS)
    errors = int(table["error"].notna().sum())
    return f"{len(table)} {noun}: {counts}" + (f", {errors} {failed}" if errors else "")
