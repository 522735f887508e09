"""The schema of a channel has the types of the channel."""

# pyright: reportPrivateUsage=false

from collections.abc import Callable, Mapping
from typing import Any, assert_type

from typedbus import AsyncChannel, Channel
from typedbus.nats import CattrsCodec, Codec, DecodeFailed, EncodeFailed, Forms, SchemaFault
from typedbus.nats._schema import MessageSchema, schema_of


class Order:
    number: int = 0


@Channel.declare
def order_placed(order: Order, /, *, urgent: bool = False) -> int:
    raise NotImplementedError


order_paid = AsyncChannel[[Order, int], None]("order_paid")


class Base64:
    """A codec of its own."""

    def bind(self, channel: str, annotations: Mapping[str, Any]) -> Forms:
        plain: dict[str, Callable[[Any], object]] = dict.fromkeys(annotations, str)
        return Forms(plain, plain, {name: {"type": "string"} for name in annotations}, {})


def use(order: Order) -> None:
    placed = schema_of(order_placed)
    assert_type(placed.encode(order), bytes)
    assert_type(placed.encode(order, urgent=True), bytes)
    assert_type(placed.decode(b""), tuple[tuple[object, ...], dict[str, object]])
    assert_type(placed.encode_result(3), bytes)
    assert_type(placed.decode_result(b"3"), int)
    assert_type(placed.json_schema(), dict[str, object])
    paid: MessageSchema[[Order, int], None] = schema_of(order_paid, CattrsCodec())
    assert_type(paid.encode(order, 1), bytes)
    codec: Codec = Base64()
    schema_of(order_paid, codec=codec)


def read(fault: SchemaFault, encoding: EncodeFailed, decoding: DecodeFailed) -> None:
    assert_type(fault.path, str)
    assert_type((encoding.channel, encoding.path, encoding.problem), tuple[str, str, str])
    assert_type((decoding.channel, decoding.problem), tuple[str, str])
