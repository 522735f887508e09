"""Wrong uses of the schema of a channel."""

# pyright: reportPrivateUsage=false

from collections.abc import Mapping

from typedbus import AsyncChannel, Channel
from typedbus.nats import CattrsCodec, Codec, DecodeFailed
from typedbus.nats._schema import MessageSchema, schema_of


class Order:
    number: int = 0


@Channel.declare
def order_placed(order: Order, /, *, urgent: bool = False) -> int:
    raise NotImplementedError


order_paid = AsyncChannel[[Order, int], None]("order_paid")


class WithoutForms:
    def bind(self, channel: str, annotations: Mapping[str, object]) -> int:
        return 3


def use(order: Order, error: DecodeFailed) -> None:
    placed = schema_of(order_placed)
    placed.encode()  # E
    placed.encode("order")  # E
    placed.encode(order=order)  # E
    placed.encode(order, True)  # E
    placed.encode(order, urgent="yes")  # E
    placed.encode(order, late=True)  # E
    placed.encode_result("3")  # E
    placed.decode("{}")  # E
    number: str = placed.decode_result(b"3")  # E
    paid = schema_of(order_paid)
    paid.encode(order)  # E
    paid.encode(order, "1")  # E
    paid.encode_result(1)  # E
    narrower: MessageSchema[[Order], None] = schema_of(order_paid)  # E
    schema_of("order_paid")  # E
    schema_of(order_paid, "cattrs")  # E
    schema_of(order_paid, CattrsCodec)  # E
    codec: Codec = WithoutForms()  # E
    error.path  # E
    print(number, narrower, codec)
