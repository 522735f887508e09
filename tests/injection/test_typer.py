"""Injected commands of Typer, called by its test client."""

from __future__ import annotations

from typing import Annotated

import typer
from tests.injection.shop import Catalogue, Orders, Shop
from typer.testing import CliRunner

from typedbus.injection import injected

app = typer.Typer()


@app.command()
@injected(Shop.orders, Shop.catalogue)
def place(
    orders: Orders,
    catalogue: Catalogue,
    name: str,
    count: Annotated[int, typer.Option(help="How many")] = 1,
) -> None:
    """Place an order."""
    if name not in (*catalogue.names, "rejected"):
        raise typer.Exit(3)
    typer.echo(orders.place(name) * count)


@app.command()
def names() -> None:
    """List the goods."""


def test_a_command_gets_its_components_before_its_arguments(shop: Shop, notes: list[str]) -> None:
    """The help has the others."""
    answer = CliRunner().invoke(app, ["place", "tea", "--count", "2"])

    assert (answer.exit_code, answer.output) == (0, "6\n")
    assert notes == ["begin", "add tea", "commit"]
    shown = CliRunner().invoke(app, ["place", "--help"]).output
    assert "Place an order." in shown
    assert "How many" in shown
    assert "catalogue" not in shown.lower()


def test_a_command_that_exits_rolls_back(shop: Shop, notes: list[str]) -> None:
    """The exit is an exception."""
    assert CliRunner().invoke(app, ["place", "soup"]).exit_code == 3
    assert notes == ["begin", "rollback Exit"]


def test_a_commit_that_fails_is_the_failure_of_the_command(shop: Shop, notes: list[str]) -> None:
    """It ends with status 1."""
    answer = CliRunner().invoke(app, ["place", "rejected"])

    assert answer.exit_code == 1
    assert isinstance(answer.exception, OSError)
    assert notes == ["begin", "add rejected", "no commit"]
