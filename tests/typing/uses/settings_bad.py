"""Invalid declarations of settings; a marked line is an error for both checkers."""

from pathlib import Path

from declared import Database
from settings_good import Other, ShopSettings, Site

from typedbus import Component, Container
from typedbus.settings import Sources, configured, load, template


def other_objects_declare_no_settings() -> None:
    configured()  # E
    configured(ShopSettings)  # E
    configured(ShopSettings, "shop")  # E
    configured(ShopSettings, section=5)  # E
    configured(ShopSettings, section=None)  # E
    configured("ShopSettings", section="shop")  # E
    configured(ShopSettings("shop.db"), section="shop")  # E
    configured(cls=ShopSettings, section="shop")  # E
    configured(ShopSettings, section="shop", port=5)  # E


class Miswired(Container):
    settings = configured(ShopSettings, section="shop")
    by_number = Component(Database, settings.provided.port)  # E
    by_component = Component(Database, settings)  # E
    by_slip = Component(Database, settings.provided.databse)  # E


def settings_have_the_type_of_their_class(site: Site) -> None:
    _other: Component[Database] = Site.settings  # E
    site.settings().prot  # E
    site.settings().port = 5  # E
    with site.override(Site.settings).by(Database("shop.db")):  # E
        pass
    with site.override(Site.settings).by({"database": "shop.db"}):  # E
        pass
    with site.override(Site.settings).by(configured(Other, section="other")):  # E
        pass


def other_values_are_not_sources() -> None:
    Sources((Path("site.toml"),))  # E
    Sources(files=Path("site.toml"))  # E
    Sources(files=5)  # E
    Sources(environ=["PORT"])  # E
    Sources(options={"shop.port": 8081})  # E
    Sources(option={})  # E
    Sources().files = ()  # E


def other_objects_cannot_be_loaded(site: Site, other: Other) -> None:
    load(site)  # E
    load(site, Sources())  # E
    load(sources=Sources())  # E
    load(Site, sources=Sources())  # E
    load([site, other], sources=Sources())  # E
    load(site, sources={"shop.port": "8081"})  # E
    _settings: ShopSettings = load(site, sources=Sources())  # E
    template(Site)  # E
    template()  # E
