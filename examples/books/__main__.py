"""``python -m examples.books``: the bookshop, its wholesaler and a few customers, all on this machine."""

import queue
import tempfile

from httpx2 import Client

from examples.books.notices import Notices
from examples.books.notices.postman import Mail
from examples.books.site import Site
from examples.books.wholesaler import Wholesaler
from typedbus import running
from typedbus.settings import Sources, load

EMMA, ULYSSES = "9780141439587", "9780141182803"


class Letterbox(Mail):
    """Puts the letters into a queue."""

    def __init__(self) -> None:
        self.letters = queue.SimpleQueue[str]()

    async def deliver(self, recipient: str, text: str) -> None:
        """Deliver a letter."""
        self.letters.put(f"to {recipient}: {text}")


def visit(shop: Client, letterbox: Letterbox) -> None:
    """Put books on the shelf, order them, and print the answers and the letters."""
    for isbn, title, copies in [(EMMA, "Emma", 4), (ULYSSES, "Ulysses", 1)]:
        shop.put(f"/books/{isbn}", json={"title": title, "copies": copies}).raise_for_status()
    for order in {EMMA: 2, ULYSSES: 1}, {EMMA: 1, ULYSSES: 1}:
        answer = shop.post("/orders", json={"email": "ada@example.org", "copies": order})
        print(f"order of {order}\n  {answer.status_code} {answer.text}")
    stock = {book["title"]: book["copies"] for book in shop.get("/books").json()}
    print(f"left, since a refused order is rolled back\n  {stock}\nletters, sent in the background")
    for _ in range(3):
        print(f"  {letterbox.letters.get(timeout=10)}")


def main() -> None:
    """Open the shop on a free port, with a new database, and close it after the visit."""
    site, letterbox = Site(), Letterbox()
    with tempfile.TemporaryDirectory() as folder, running(Wholesaler) as wholesaler:
        options = {
            "books.database": f"sqlite+aiosqlite:///{folder}/books.sqlite3",
            "books.wholesaler": f"http://{wholesaler.server().address}",
            "books.bind": "127.0.0.1:0",
        }
        load(site, sources=Sources(options=options))
        with (
            site.override(Notices.mail).by(letterbox),
            running(site),
            # No proxy is needed on this machine.
            Client(base_url=f"http://{site.server().address}", trust_env=False) as client,
        ):
            visit(client, letterbox)


if __name__ == "__main__":
    main()
