"""The channels between the processes, and their streams."""

from __future__ import annotations

import attrs

from typedbus import Channel
from typedbus.nats import Redelivery, Stream


@attrs.frozen
class Order:
    """An order of a customer; the price of one piece is in pence."""

    number: int
    customer: str
    sku: str
    quantity: int
    price: int


@attrs.frozen
class Invoice:
    """The invoice of an order, in pence."""

    order: int
    customer: str
    total: int


@Channel.declare
def order_placed(order: Order, /) -> None:
    """An order has been committed by the front."""


@Channel.declare
def invoice_written(invoice: Invoice, /) -> None:
    """An invoice has been committed by invoicing."""


ORDERS = Stream("ORDERS")
INVOICES = Stream("INVOICES")

#: An event whose process was killed is delivered again after *ack_wait*: 30 s by default, too long for a demonstration.
REDELIVERY = Redelivery(ack_wait=2.0)
