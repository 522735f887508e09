"""The site: the shared components, the three applications, and the dispatcher in front of them."""

from examples.site.api import APIContainer
from examples.site.backoffice import BackofficeContainer
from examples.site.infra import Infra
from examples.site.pages import PagesContainer
from typedbus import Component, Container
from typedbus.servers.asgi import ASGIServer
from typedbus.servers.mounts import MOUNT, ASGIDispatcher, WSGIDispatcher


class Parts(Container):
    """Everything but the front, which depends on the server."""

    infra = Infra()
    pages = PagesContainer()
    backoffice = BackofficeContainer()
    api = APIContainer()


class ASGISite(Parts):
    """The site as an ASGI application; Flask and Django are called in threads."""

    front = Component(ASGIDispatcher, Infra.bus.provided, Infra.bus.provided[MOUNT])


class WSGISite(Parts):
    """The site as a WSGI application; FastAPI is answered in an event loop in a separate thread."""

    front = Component(WSGIDispatcher, Infra.bus.provided, Infra.bus.provided[MOUNT])


class Site(ASGISite):
    """The site with its own server."""

    server = Component(ASGIServer, Infra.bus.provided, ASGISite.front.provided, bind=Infra.settings.provided.bind)
