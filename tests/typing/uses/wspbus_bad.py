"""Invalid uses of the CherryPy-compatible names; a marked line is an error for both checkers."""

from wspbus_good import Shop, mail, order_placed

from typedbus.wspbus import Bus, bus, plugins, servers, states


def shout(text: str) -> str:
    return text.upper()


bus["order-placed"]  # E
bus[order_placed].publish("1")  # E
bus[order_placed].subscribe(shout)  # E
bus.subscribe("order-placed", 5)  # E
bus.subscribe("order-placed", mail, "high")  # E
bus.publish()  # E
bus.state = "STARTED"  # E
bus.wait("STARTED")  # E
bus.wait([1])  # E
bus.block(timeout=1)  # E
bus.hard_exit = "70"  # E
bus.typed.publish("order-placed", 1)  # E
bus.start_with_callback(5)  # E
Shop().attach(bus)  # E
Bus("name")  # E
states.RUNNING  # E
plugins.Monitor(bus, 5)  # E
plugins.Monitor(bus, print, "often")  # E
plugins.PIDFile("site.pid")  # E
plugins.SimplePlugin()  # E
servers.ServerAdapter()  # E
