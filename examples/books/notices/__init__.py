"""Letters to customers and to the buyer, delivered in the background."""

from examples.books.infra import Infra
from examples.books.notices.outbox import Outbox, letters_waiting
from examples.books.notices.postman import Mail, Postman
from typedbus import Component, Container


class Notices(Container):
    """The outbox listens to the other packages; the postman empties it."""

    outbox = Component(Outbox, Infra.settings.provided.buyer, waiting=Infra.bus.provided[letters_waiting])
    mail = Component(Mail, Infra.bus.provided)
    postman = Component(Postman, Infra.bus.provided, Infra.session.async_opener, mail.provided)
