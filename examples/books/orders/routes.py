"""Orders over HTTP."""

from typing import Annotated

from fastapi import APIRouter, HTTPException, Path
from pydantic import BaseModel, ConfigDict, Field

from examples.books.catalogue.routes import ISBN
from examples.books.catalogue.shelf import SoldOut, UnknownBook
from examples.books.orders import Orders
from examples.books.orders.desk import Desk, Order
from typedbus.injection import injected

router = APIRouter(prefix="/orders")


class OrderIn(BaseModel):
    """An order of a customer: how many copies of each book, by ISBN."""

    email: str = Field(pattern="^[^@]+@[^@]+$")
    copies: dict[ISBN, Annotated[int, Field(ge=1, le=100)]] = Field(min_length=1, max_length=100)


class OrderOut(BaseModel):
    """An order that was placed."""

    model_config = ConfigDict(from_attributes=True)

    number: int
    pence: int


@router.post("", status_code=201, response_model=OrderOut)
@injected(Orders.desk)
async def place(desk: Desk, order: OrderIn) -> Order:
    """Place an order; if any of its books is sold out, the others stay on the shelf."""
    try:
        return await desk.place(order.email, order.copies)
    except UnknownBook as error:
        raise HTTPException(404, f"there is no book {error}") from None
    except SoldOut as error:
        raise HTTPException(409, f"book {error} is sold out") from None


@router.get("/{number}", response_model=OrderOut)
@injected(Orders.desk)
async def find(desk: Desk, number: Annotated[int, Path(ge=1, lt=2**31)]) -> Order:
    """Return an order."""
    order = await desk.find(number)
    if order is None:
        raise HTTPException(404, f"there is no order {number}")
    return order
