"""The site for an ASGI server: ``uvicorn examples.site.asgi:application``."""

import os
from pathlib import Path

from examples.site.container import ASGISite
from typedbus.hosting.asgi import Hosted

# No command line names another file here; the environment may.
os.environ.setdefault("TYPEDBUS_CONFIG", str(Path(__file__).with_name("site.toml")))
site = ASGISite()
# A lambda, since an exit of the bus discards the components and the next start makes others.
application = Hosted(lambda scope, receive, send: site.front()(scope, receive, send), site)  # noqa: PLW0108
