"""The pages for applications that come from other libraries are complete."""

import re

import pytest
from dependency_injector import providers
from tests.docs.test_pages import ROOT, text_of

#: The base classes, and the providers that other providers make for an attribute or a call.
MADE = {
    "AttributeGetter",
    "BaseResource",
    "BaseSingleton",
    "CallableDelegate",
    "ConfigurationOption",
    "CoroutineDelegate",
    "FactoryDelegate",
    "ItemGetter",
    "MethodCaller",
    "ProvidedInstance",
    "Provider",
    "SingletonDelegate",
    "TypedConfigurationOption",
}
DECLARED = [
    name
    for name, value in sorted(vars(providers).items())
    if isinstance(value, type) and issubclass(value, providers.Provider) and name not in MADE
]


@pytest.mark.parametrize("name", DECLARED)
def test_the_tables_have_each_provider_of_dependency_injector(name: str) -> None:
    """A reader finds what to write in place of each declaration."""
    rows = re.findall(r"^\| (.*?) \|", text_of(ROOT / "docs" / "coming-from" / "dependency-injector.md"), re.MULTILINE)

    assert any(re.search(rf"\b{name}\(", row) for row in rows)
