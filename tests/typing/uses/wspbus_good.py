"""Valid uses of the CherryPy-compatible names."""

from typing import Any, assert_type

from typedbus import Channel, Component, Container
from typedbus._channels.bound import BoundChannel
from typedbus.wspbus import Bus, ChannelFailures, bus, plugins, servers, states

order_placed = Channel[[int], str]("order-placed")


class Pool:
    def start(self) -> None: ...


class Shop(Container):
    pool = Component(Pool)


@bus.subscribe("order-placed", priority=10)
def mail(number: int) -> str:
    return str(number)


assert_type(mail(1), str)
assert_type(bus.subscribe("order-placed", mail), None)
assert_type(bus.subscribe(("any", 1), lambda *args: args, 49.5), None)
bus.unsubscribe("order-placed", mail)
assert_type(bus.publish("order-placed", 1, note="x"), list[Any])
assert_type(bus[order_placed], BoundChannel[[int], str])
assert_type(bus[order_placed].publish(1), list[str])
Shop().attach(bus.typed)

bus.state = states.STOPPED
assert_type(bus.state is states.STARTED, bool)
bus.wait(states.STARTED, 0.1, "main")
bus.wait([states.STARTED, states.EXITING])
bus.block(interval=0.1)
bus.listeners["before_request"] = set()
bus.listeners.setdefault("x", set()).add(mail)
bus.hard_exit = 70
bus.log("text", 40, traceback=True)
bus.start_with_callback(print, (1,), {"end": ""}).join()

try:
    Bus().start()
except ChannelFailures as failures:
    assert_type(failures.get_instances(), list[BaseException | None])


class Mine(plugins.SimplePlugin):
    def start(self) -> None:
        self.bus.log("mine")


Mine(bus).subscribe()
plugins.Monitor(bus, lambda: None, 0.5, "look").subscribe()
plugins.PIDFile(bus, "site.pid").subscribe()
plugins.DropPrivileges(bus, uid="nobody", umask=0o027).subscribe()
plugins.SignalHandler(bus).set_handler("SIGUSR2", bus.graceful)
servers.ServerAdapter(bus, object(), ("127.0.0.1", 80)).subscribe()
