"""Invalid uses of hosting; a marked line is an error for both checkers."""

from hosting_good import Shop, application, asgi_application, asgi_page, page, shop

from typedbus import Limits
from typedbus.hosting import asgi, wsgi


def takes_error(error: BaseException) -> None: ...


wsgi.Hosted(page)  # E
wsgi.Hosted(shop, page)  # E
wsgi.Hosted(asgi_page, shop)  # E
wsgi.Hosted("site:app", shop)  # E
wsgi.Hosted(page, shop.bus)  # E
wsgi.Hosted(page, container=shop)  # E
wsgi.Hosted(page, shop, 2)  # E
wsgi.Hosted(page, shop, workers="2")  # E
wsgi.Hosted(page, shop, limits=5)  # E
wsgi.Hosted(page, shop, ended=takes_error)  # E
wsgi.Hosted(page, shop, ended="TERM")  # E
wsgi.Hosted(asgi_application, shop)  # E
asgi.Hosted(asgi_page)  # E
asgi.Hosted(page, shop)  # E
asgi.Hosted(shop, asgi_page)  # E
asgi.Hosted(asgi_page, Shop, Limits())  # E
asgi.Hosted(asgi_page, Shop, ended=takes_error)  # E
asgi.Hosted(application, shop)  # E
asgi_application.start()  # E
application.start(1)  # E
