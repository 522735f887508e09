"""Components that hold settings, and the function that loads them."""

from __future__ import annotations

import re
import weakref
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final, Generic

import attrs
from typing_extensions import TypeVar

from typedbus._base.errors import DeclarationError, OverrideError
from typedbus._base.failures import describe
from typedbus._base.ordering import dependencies_first
from typedbus._base.places import calling_place
from typedbus._container.body import body_of, providers_of
from typedbus._container.component import Component
from typedbus._container.container import Container
from typedbus._container.core import components_of, core_of
from typedbus._container.providers import declared_needs
from typedbus.settings._lines import Key
from typedbus.settings._reading import Reader
from typedbus.settings._sources import Entry, Sources

S = TypeVar("S", bound=attrs.AttrsInstance)

#: The override that `load` has set for each component; other code may have set an override as well.
_overrides: Final[weakref.WeakKeyDictionary[Component[Any], object]] = weakref.WeakKeyDictionary()
#: The entries that set the settings that `load` has loaded for each component.
_origins: Final[weakref.WeakKeyDictionary[Component[Any], Mapping[Key, Entry]]] = weakref.WeakKeyDictionary()


class Section(Generic[S]):
    """Builds a component of settings that `load` has not loaded."""

    #: Marks the component as holding settings for the container: their attributes can be read before the start.
    holds_settings: ClassVar[bool] = True

    def __init__(self, cls: type[S], name: str) -> None:
        self.cls = cls
        self.name = name
        #: The entries of the sources that set settings of the section, when it was built last.
        self.origins: Mapping[Key, Entry] = {}

    def __call__(self) -> S:
        reader = Reader(Sources.of_environment())
        settings: Any = reader.section(self.cls, self.name)
        reader.finish()
        self.origins = reader.origins
        return settings  # type: ignore[no-any-return]  # without a fault it is one

    def __repr__(self) -> str:
        return f"{describe(self.cls)} from [{self.name}]"


def configured(cls: type[S], /, *, section: str) -> Component[S]:
    """
    Declare settings, ``configured(ShopSettings, section="shop")``, in the body of a container.

    The component is an instance of *cls*. It, or a part of it, is passed to other
    components like any dependency: ``Component(Database, settings.provided.database)``.
    `load` creates it before any component is constructed. Without `load` it is created
    when it is first needed, from the environment and the files that the variable
    TYPEDBUS_CONFIG lists.

    Args:
        cls: An attrs class. Its fields are the settings, and their defaults apply where no source sets a value.
            A field whose type is an attrs class is a table.
        section: The name of the table of *cls* in files, and the prefix of its environment variables.

    Raises:
        DeclarationError: *cls* is not an attrs class, or *section* is not a valid name.
    """
    place = calling_place()
    argument: Any = cls
    if not (isinstance(argument, type) and attrs.has(argument)):
        raise DeclarationError(
            repr(cls), place, "it is not an attrs class; pass the class whose fields are the settings"
        )
    if not (isinstance(section, str) and re.fullmatch("[A-Za-z0-9_-]+", section)):
        problem = f"{section!r} is not the name of a section; use only letters, digits, _ and -"
        raise DeclarationError(describe(cls), place, problem)
    # The container takes the class of the settings from the type argument.
    parametrised: Any = Section
    build: Section[S] = parametrised[cls](cls, section)
    component = Component(build)
    component.place = place
    return component


def load(container: Container, /, *others: Container, sources: Sources) -> None:
    """
    Load the settings of *container* and *others*, and override their components permanently.

    This covers every component that `configured` has declared, including those in
    nested containers and in contributions, but excluding overridden components and
    dependencies used only by them. The loaded settings survive an exit and a restart
    of the bus. A second call, before any component is constructed, loads everything
    again.

    Call it before the containers are started, in one thread.

    Raises:
        InvalidSettings: A setting is invalid; it holds all faults. No component has been changed.
        OverrideError: A component, or one that depends on it, is already constructed.
        DeclarationError: Two classes share a section, or a class has a field of a type that no setting can have.
    """
    sections = sections_of(container, *others)
    live = {id(component) for each in (container, *others) for component in components_of(each)}
    components = [
        component
        for each in (container, *others)
        for component in configured_in(each)
        if id(component) in live and component.overriding is _overrides.get(component)
    ]
    reader = Reader(sources)
    classes = {section_of(component).name: section_of(component).cls for component in components}
    settings = {name: reader.section(cls, name) for name, cls in classes.items()}
    reader.check(sections, sections.keys() - settings.keys())
    reader.finish()
    for component in components:
        for user in (component.home or core_of(container)).dependents(component):
            if isinstance(user, Component) and user.is_built:
                reason = f"{user.path} has already been constructed; call load() before that"
                raise OverrideError(component.path, component.place, reason)
    for component in components:
        # Not `Container.override`, whose override ends when its context manager is garbage-collected.
        injector: Any = component
        injector.override(settings[section_of(component).name])
        _origins[component] = reader.origins
        _overrides[component] = component.overriding


def sections_of(container: Container, *others: Container) -> dict[str, Section[Any]]:
    """
    Return the sections of *container* and *others*, in order of declaration.

    Raises:
        DeclarationError: Two classes share a section.
    """
    owners: dict[str, Component[Any]] = {}
    for component in (component for each in (container, *others) for component in configured_in(each)):
        section = section_of(component)
        owner = owners.setdefault(section.name, component)
        if section_of(owner).cls is not section.cls:
            problem = (
                f"{owner.path} ({owner.place}) has another class in its section, [{section.name}]; choose another name"
            )
            raise DeclarationError(component.path, component.place, problem)
    return {name: section_of(owner) for name, owner in owners.items()}


def configured_in(container: Container) -> Iterator[Component[Any]]:
    """Yield the components that `configured` has declared in *container*, in order of declaration."""
    for node in dependencies_first(providers_of(body_of(container).members), declared_needs)[0]:
        if isinstance(node, Component) and isinstance(node.builds, Section):
            yield node


def settings_in(component: Component[Any]) -> tuple[object, Mapping[Key, Entry]]:
    """
    Return the settings of a component that `configured` has declared, with the entries of the sources that set them.

    They are None if they are not read yet, or overridden.
    """
    is_loaded = component.overriding is not None
    if component.overriding is not _overrides.get(component) or not (is_loaded or component.is_built):
        return None, {}
    settings: object = component()
    return settings, _origins[component] if is_loaded else section_of(component).origins


def section_of(component: Component[Any]) -> Section[Any]:
    """Return the section of a component that `configured` has declared."""
    builds: Any = component.builds
    return builds  # type: ignore[no-any-return]  # `configured` made it
