"""Valid declarations of settings."""

import os
from pathlib import Path
from typing import assert_type

import attrs
from declared import Database

from typedbus import Bus, Component, Container
from typedbus.settings import InvalidSettings, SettingsFault, Sources, configured, load, template


@attrs.frozen
class ShopSettings:
    database: str
    port: int = 8080


class Site(Container):
    bus = Component(Bus)
    settings = configured(ShopSettings, section="shop")
    database = Component(Database, settings.provided.database)


class Other(Container):
    settings = configured(ShopSettings, section="other")


def a_declaration_has_the_type_of_its_class() -> None:
    assert_type(configured(ShopSettings, section="shop"), Component[ShopSettings])
    assert_type(Site.settings, Component[ShopSettings])
    assert_type(Site().settings(), ShopSettings)
    assert_type(Site.settings.provided.port, int)
    _wider: Component[object] = Site.settings


def settings_can_be_replaced(site: Site) -> None:
    with site.override(Site.settings).by(ShopSettings("shop.db")):
        pass
    with site.override(Site.settings).by(Component(ShopSettings, "shop.db", port=5)):
        pass
    with site.override(Site.settings).by(configured(ShopSettings, section="test")):
        pass


def sources_are_files_the_environment_and_options() -> None:
    Sources()
    Sources(files=(Path("site.toml"),), environ=os.environ, options={"shop.port": "8081"})
    Sources(files=("site.toml", Path("more.toml")), environ={})
    assert_type(Sources().files, tuple[Path, ...])


def containers_are_loaded_together(site: Site, other: Other) -> None:
    load(site, sources=Sources())
    load(site, other, sources=Sources())
    assert_type(template(site, other), str)


def faults_have_typed_attributes(site: Site) -> None:
    try:
        load(site, sources=Sources())
    except InvalidSettings as invalid:
        for fault in invalid.exceptions:
            if isinstance(fault, SettingsFault):
                assert_type(fault.source, Path | str | None)
                assert_type(fault.line, int | None)
                assert_type(fault.key + fault.problem, str)
