"""The catalogue over HTTP."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from examples.books.catalogue import Catalogue
from examples.books.catalogue.prices import Prices
from examples.books.catalogue.shelf import Book, Shelf
from typedbus.injection import injected

router = APIRouter(prefix="/books")

ISBN = Annotated[str, StringConstraints(pattern="^[0-9]{13}$")]


class BookIn(BaseModel):
    """A book to be put on the shelf."""

    title: str
    copies: int = Field(ge=0, le=10_000)


class BookOut(BaseModel):
    """A book on the shelf."""

    model_config = ConfigDict(from_attributes=True)

    isbn: str
    title: str
    copies: int


@router.get("", response_model=list[BookOut])
@injected(Catalogue.shelf)
async def books(shelf: Shelf) -> Sequence[Book]:
    """Return all books."""
    return await shelf.books()


@router.put("/{isbn}", status_code=204)
@injected(Catalogue.shelf)
async def put(shelf: Shelf, isbn: ISBN, book: BookIn) -> None:
    """Put a book on the shelf."""
    await shelf.put(isbn, book.title, book.copies)


@router.get("/{isbn}/price")
@injected(Catalogue.shelf, Catalogue.prices)
async def price(shelf: Shelf, prices: Prices, isbn: ISBN) -> int:
    """Return the price of a book, in pence."""
    if await shelf.find(isbn) is None:
        raise HTTPException(404, f"there is no book {isbn}")
    return await prices.price(isbn)
