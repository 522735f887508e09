"""Settings from files, the environment and options, and all of their faults in one report."""

from __future__ import annotations

import datetime as dt
import enum
import gc
import os
import pickle
import re
import subprocess
import sys
import textwrap
import tomllib
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NewType

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typed_settings import Secret, SecretStr
from typing_extensions import TypeAliasType

from typedbus import (
    Bus,
    Component,
    Container,
    Contributed,
    DeclarationError,
    InvalidContainer,
    OverrideError,
    State,
    TransitionFailures,
)
from typedbus.faults import TypeFault
from typedbus.settings import InvalidSettings, SettingsFault, Sources, configured, load, template
from typedbus.settings._configured import configured_in
from typedbus.settings._lines import dotted, lines_of
from typedbus.testing import running

Sku = NewType("Sku", str)


class Colour(enum.Enum):
    RED = "#f00"
    BLUE = "#00f"


class Size(enum.IntEnum):
    SMALL = 1
    LARGE = 2


class Mode(enum.StrEnum):
    OPEN = "open"
    SHUT = "shut"


@attrs.frozen
class Product:
    sku: Sku
    price: int = attrs.field(default=0, validator=attrs.validators.ge(0))


@attrs.frozen
class Login:
    user: str = "shop"
    password: SecretStr = SecretStr("")


@attrs.frozen
class Web:
    host: str = "localhost"
    port: int = attrs.field(default=80, validator=[attrs.validators.gt(0), attrs.validators.lt(65536)])
    login: Login = Login()


@attrs.frozen
class ShopSettings:
    database: Path
    port: int = 8080
    password: SecretStr = SecretStr("s3cret")
    products: tuple[Product, ...] = ()
    web: Web = Web(port=9000)


class Database:
    def __init__(self, path: Path) -> None:
        self.path = path


class Shop(Container):
    bus = Component(Bus)
    settings = configured(ShopSettings, section="shop")
    database = Component(Database, settings.provided.database)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, which relative paths of files are resolved against."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TYPEDBUS_CONFIG", raising=False)
    return tmp_path


def write(text: str, name: str = "site.toml") -> Path:
    """Write a settings file, and return its relative path."""
    path = Path(name)
    path.parent.mkdir(exist_ok=True)
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return path


def read(
    cls: type[Any],
    text: str = "",
    environ: Mapping[str, str] = {},
    options: Mapping[str, str] = {},
    files: Sequence[Path] | None = None,
) -> Any:
    """Return the settings of *cls* in the section ``[it]``."""

    class Site(Container):
        settings = configured(cls, section="it")

    site = Site()
    load(site, sources=Sources(files=tuple(files or [write(text)]), environ=environ, options=options))
    return site.settings()


def faults(*args: Any, **kwargs: Any) -> list[str]:
    """Return the texts of the faults in the settings that `read` would return."""
    with pytest.raises(InvalidSettings) as raised:
        read(*args, **kwargs)
    return [str(fault) for fault in raised.value.exceptions]


def as_type(hint: Any) -> Any:
    """Return *hint*, which checkers do not accept as a class."""
    return hint


def one_field(hint: Any, **options: Any) -> type[Any]:
    """Return a class with one setting, ``x``."""
    return attrs.make_class("Settings", {"x": attrs.field(type=hint, **options)}, frozen=True)


class TestSources:
    def test_settings_are_loaded_before_any_component_is_constructed(self, folder: Path) -> None:
        """Settings are instances of their class, which are passed to other components."""
        path = write(
            """
            [shop]
            database = "shop.db"
            web.host = "example.org"

            [[shop.products]]
            sku = "TEA"
            price = 890

            [[shop.products]]
            sku = "CUP"
            """
        )
        shop = Shop()

        load(shop, sources=Sources(files=(path,), environ={}))

        assert not shop.database.is_built
        assert shop.settings() == ShopSettings(
            database=folder / "shop.db",
            products=(Product(Sku("TEA"), 890), Product(Sku("CUP"))),
            web=Web(host="example.org", port=9000),
        )
        with running(shop):
            assert shop.database().path == folder / "shop.db"

    def test_precedence_is_options_environment_later_files_earlier_files_defaults(self) -> None:
        """Each key is looked up in the sources separately."""
        cls = attrs.make_class(
            "Settings", {name: attrs.field(type=str, default="default") for name in "abcde"}, frozen=True
        )
        first = write('[it]\na = "first"\nb = "first"\nc = "first"\nd = "first"', "first.toml")
        second = write('[it]\na = "second"\nb = "second"\nc = "second"', "second.toml")

        settings = read(
            cls, environ={"IT_A": "variable", "IT_B": "variable"}, options={"it.a": "option"}, files=[first, second]
        )

        assert attrs.astuple(settings) == ("option", "variable", "second", "first", "default")

    def test_tables_are_merged_and_lists_replaced(self) -> None:
        """A later file changes single settings of a table, and replaces a list as a whole."""
        first = write(
            '[it]\ndatabase = "a"\nweb = {host = "a", port = 1}\nproducts = [{sku = "A"}, {sku = "B"}]', "1.toml"
        )
        second = write('[it]\nweb.port = 2\nproducts = [{sku = "C"}]', "2.toml")

        settings = read(ShopSettings, environ={}, files=[first, second])

        assert settings.web == Web("a", 2)
        assert settings.products == (Product(Sku("C")),)

    def test_the_environment_sets_single_settings_also_in_tables(self) -> None:
        """The name of a variable is the key in capitals, with an underscore in place of each dot."""
        environ = {"IT_DATABASE": "/a", "IT_WEB_PORT": "81", "IT_WEB_LOGIN_USER": "me", "IT_WEB": "?", "WEB_PORT": "?"}

        settings = read(ShopSettings, environ=environ)

        assert settings == ShopSettings(Path("/a"), web=Web(port=81, login=Login("me")))

    def test_a_dash_in_a_section_is_an_underscore_in_the_environment(self) -> None:
        """Shells do not allow a dash in the name of a variable."""

        class Site(Container):
            settings = configured(one_field(int), section="web-site")

        site = Site()
        load(site, sources=Sources(environ={"WEB_SITE_X": "5"}))

        assert site.settings() == type(site.settings())(5)

    def test_an_optional_table_is_created_if_any_source_sets_one_of_its_settings(self) -> None:
        """Otherwise it is None."""
        cls = one_field(Web | None, default=None)

        assert read(cls).x is None
        assert read(cls, "[it.x]").x == Web()
        assert read(cls, environ={"IT_X_LOGIN_USER": "me"}).x == Web(login=Login("me"))
        assert read(cls, options={"it.x.port": "5"}).x == Web(port=5)
        assert read(cls, environ={"IT_X_OTHER": "me"}).x is None

    def test_a_table_without_default_has_the_defaults_of_its_class(self) -> None:
        """An empty table need not be written."""
        assert read(one_field(Web)).x == Web()

    def test_the_default_of_a_factory_applies_as_well(self) -> None:
        """Settings that no source sets have the values of the factory's instance."""
        assert read(one_field(Web, factory=lambda: Web(port=7)), "[it]\nx.host = 'a'").x == Web("a", 7)
        assert read(one_field(Web, default=attrs.Factory(lambda self: Web(port=7), takes_self=True))).x == Web(port=7)

    def test_a_list_in_the_environment_is_written_as_in_a_file(self) -> None:
        """Lists and tables have the same syntax in every source."""
        text = '[{sku = "A", price = 5}, {sku = "B"}]'

        from_environment = read(ShopSettings, environ={"IT_DATABASE": "/a", "IT_PRODUCTS": text})
        from_option = read(ShopSettings, options={"it.database": "/a", "it.products": text})

        assert from_environment.products == from_option.products == (Product(Sku("A"), 5), Product(Sku("B")))

    def test_paths_in_a_file_are_relative_to_it_and_others_to_the_working_directory(self, folder: Path) -> None:
        """A file can be moved together with the files that it names; symbolic links are not resolved."""
        (folder / "current").symlink_to(folder / "etc")
        write('[it]\nx = "shop.db"', "etc/site.toml")
        cls = one_field(Path, default=Path("as-it-is"))

        assert read(cls, files=[Path("current/site.toml")]).x == folder / "current" / "shop.db"
        assert read(cls, environ={"IT_X": "a.db"}).x == folder / "a.db"
        assert read(cls, options={"it.x": "/a.db"}).x == Path("/a.db")
        assert read(cls).x == Path("as-it-is")

    def test_a_byte_order_mark_and_windows_line_ends_are_accepted(self) -> None:
        """They are not part of the content, and do not change line numbers."""
        Path("site.toml").write_bytes(b"\xef\xbb\xbf[it]\r\nx = '''\r\na'''\r\ny = 1\r\n")

        assert faults(one_field(str), files=[Path("site.toml")]) == [
            "site.toml:4: it.y is not a setting; this table has: x"
        ]

    def test_the_repr_of_sources_shows_only_the_files(self) -> None:
        """The environment may contain secrets of other programs."""
        sources = Sources(files=("a.toml",), environ={"PASSWORD": "hunter2"}, options={"shop.password": "hunter3"})

        assert repr(sources) == f"Sources(files=({Path('a.toml')!r},))"


class TestTypes:
    @pytest.mark.parametrize(
        ("hint", "text", "expected"),
        [
            (bool, "true", True),
            (int, "0x10", 16),
            (float, "1", 1.0),
            (float, "1.5", 1.5),
            (str, '"a"', "a"),
            (SecretStr, '"a"', SecretStr("a")),
            (int | None, "1", 1),
            (int | str, '"1"', "1"),
            (Annotated[int, "from 1 up"], "1", 1),
            (TypeAliasType("Port", int | None), "1", 1),
            (Colour, '"RED"', Colour.RED),
            (Size, "2", Size.LARGE),
            (Mode, '"open"', Mode.OPEN),
            (Literal["a", 1], "1", 1),
            (dt.date, "2024-05-31", dt.date(2024, 5, 31)),
            (dt.date, '"2024-05-31"', dt.date(2024, 5, 31)),
            (dt.time, "09:30:00", dt.time(9, 30)),
            (dt.time, '"09:30"', dt.time(9, 30)),
            (dt.datetime, "2024-05-31T09:30:00Z", dt.datetime(2024, 5, 31, 9, 30, tzinfo=dt.UTC)),
            (dt.timedelta, "90", dt.timedelta(seconds=90)),
            (dt.timedelta, '"1h30m"', dt.timedelta(minutes=90)),
            (re.Pattern[str], '"a+"', re.compile("a+")),
            (list[int], "[1, 2]", [1, 2]),
            (tuple[int, str], '[1, "a"]', (1, "a")),
            (frozenset[str], '["a", "a"]', frozenset({"a"})),
            (Sequence[int], "[1]", (1,)),
            (dict[str, float], "{a = 1, b = 2.5}", {"a": 1.0, "b": 2.5}),
            (dict[int, str], '{1 = "a"}', {1: "a"}),
            (Mapping[str, Product], '{a = {sku = "A"}}', {"a": Product(Sku("A"))}),
            (list[Sku], '["A"]', ["A"]),
            (Any, "[1, {a = 2}]", [1, {"a": 2}]),
            (object, "1", 1),
            (list, '[1, "a"]', [1, "a"]),
            (dict, "{a = 1}", {"a": 1}),
            (Web | str, '"a"', "a"),
            (Web | str, "{port = 1}", Web(port=1)),
        ],
    )
    def test_a_value_in_a_file_is_converted_to_the_type_of_its_field(
        self, hint: Any, text: str, expected: object
    ) -> None:
        """The plain types, common types of the standard library, and lists and tables of these."""
        value = read(one_field(hint), f"[it]\nx = {text}").x

        assert value == expected
        assert type(value) is type(expected) or isinstance(expected, dict)

    @pytest.mark.parametrize(
        ("hint", "text", "expected"),
        [
            (bool, "yes", True),
            (bool, "0", False),
            (int, "8080", 8080),
            (float, "1e3", 1000.0),
            (str, "8080", "8080"),
            (int | None, "1", 1),
            (Size, "2", Size.LARGE),
            (Literal[1, 2], "2", 2),
            (dt.timedelta, "1h", dt.timedelta(hours=1)),
            (dict[str, int], "{a = 1}", {"a": 1}),
            (list[str], '["1"]', ["1"]),
            (str | list[str], '["1"]', '["1"]'),
        ],
    )
    def test_text_in_the_environment_is_parsed_as_the_type_of_its_field(
        self, hint: Any, text: str, expected: object
    ) -> None:
        """The environment has no types of its own."""
        value = read(one_field(hint), environ={"IT_X": text}).x

        assert (value, type(value)) == (expected, type(expected))

    @pytest.mark.parametrize(
        ("hint", "text", "problem"),
        [
            (int, '"eighty"', "must be a whole number, not 'eighty'"),
            (int, '"80"', "must be a whole number, not '80'"),
            (int, "1.0", "must be a whole number, not 1.0"),
            (int, "true", "must be a whole number, not true"),
            (float, '"1"', "must be a number, not '1'"),
            (bool, "1", "must be true or false, not 1"),
            (str, "1", "must be text, not 1"),
            (str, "[1]", "must be text, not a list"),
            (str, "{}", "must be text, not a table"),
            (Path, "1", "must be a path, not 1"),
            (Path, '""', "must be a path, not ''"),
            (int | None, '"a"', "must be a whole number, not 'a'"),
            (int | bool, '"a"', "must be a whole number or true or false, not 'a'"),
            (Colour, '"GREEN"', "must be one of 'RED', 'BLUE', not 'GREEN'"),
            (Size, "3", "must be one of 1, 2, not 3"),
            (Size, '"2"', "must be one of 1, 2, not '2'"),
            (Literal["a", "b"], "1", "must be one of 'a', 'b', not 1"),
            (dt.date, "2024-05-31T09:30:00", "must be a date (2024-05-31), not 2024-05-31T09:30:00"),
            (dt.date, '"May"', "must be a date (2024-05-31), not 'May'"),
            (dt.datetime, "2024-05-31", "must be a date with a time (2024-05-31T09:30:00Z), not 2024-05-31"),
            (dt.time, "9", "must be a time (09:30:00), not 9"),
            (dt.timedelta, "true", "must be a duration (90, in seconds, or 1h30m), not true"),
            (re.Pattern[str], '"("', "must be a regular expression, not '('"),
            (list[int], '"1"', "must be a list, not '1'"),
            (tuple[int, str], "[1]", "must have 2 members, not 1"),
            (dict[str, int], "[1]", "must be a table, not a list"),
            (Product, '"TEA"', "must be a table, not 'TEA'"),
            (str, "5" * 200, f"must be text, not {'5' * 60}..."),
            (int, r'"a\nb"', r"must be a whole number, not 'a\nb'"),
        ],
    )
    def test_a_fault_describes_the_expected_type_and_the_value(self, hint: Any, text: str, problem: str) -> None:
        """In words for a deployer, on one line."""
        assert faults(one_field(hint), f"[it]\nx = {text}") == [f"site.toml:2: it.x {problem}"]

    def test_each_invalid_member_of_a_list_or_table_is_a_fault(self) -> None:
        """Each with its key and its line."""
        cls = attrs.make_class(
            "Settings",
            {
                "hosts": attrs.field(type=tuple[str, ...]),
                "limits": attrs.field(type=dict[int, int]),
                "pairs": attrs.field(type=list[tuple[int, str]]),
            },
        )

        assert faults(
            cls,
            """\
            [it]
            hosts = ["a",
              1,  # no host
              "b", 2]
            pairs = [[1, "a"], [2, 3]]
            [it.limits]
            1 = "one"
            two = 2
            """,
        ) == [
            "site.toml:3: it.hosts[1] must be text, not 1",
            "site.toml:4: it.hosts[3] must be text, not 2",
            "site.toml:5: it.pairs[1][1] must be text, not 3",
            "site.toml:7: it.limits.1 must be a whole number, not 'one'",
            "site.toml:8: it.limits.two must be a whole number, not 'two'",
        ]

    def test_a_list_in_the_environment_that_is_not_a_toml_value_is_a_fault(self) -> None:
        """So is a text with more than one value."""
        problem = "environment variable IT_X: it.x must be a list in TOML syntax, not"

        assert faults(one_field(list[str]), environ={"IT_X": "a:b"}) == [f"{problem} 'a:b'"]
        assert faults(one_field(list[str]), environ={"IT_X": "[]\ny = 1"}) == [rf"{problem} '[]\ny = 1'"]
        assert faults(one_field(list[str]), environ={"IT_X": '["a", 1]'}) == [
            "environment variable IT_X: it.x[1] must be text, not 1"
        ]

    def test_a_type_that_settings_cannot_have_is_a_declaration_error(self) -> None:
        """The developer must correct it, not the deployer."""
        for hint, text in (Database, '"a"'), (Database, "{a = 1}"), (type(Path), "1"):
            with pytest.raises(DeclarationError, match=r"it\.x .*: a setting cannot have this type"):
                read(one_field(hint), f"[it]\nx = {text}")

    def test_an_annotation_with_an_undefined_name_is_a_declaration_error(self) -> None:
        """The error names the class and the undefined name."""
        with pytest.raises(
            DeclarationError, match="Settings .*cannot be evaluated: name 'Nothing' is not defined; correct"
        ):
            read(one_field("Nothing"))

    def test_converters_of_fields_are_applied(self) -> None:
        """The type of a converter's parameter is the type of the setting."""

        def level(name: str) -> int:
            return {"low": 1, "high": 2}[name]

        assert read(one_field(int, converter=level), "[it]\nx = 'high'").x == 2
        assert read(one_field(int, converter=attrs.Converter(level)), "[it]\nx = 'high'").x == 2
        assert read(one_field(int, converter=int), "[it]\nx = 5").x == 5
        assert read(one_field(int, converter=lambda number: number * 2), "[it]\nx = 5").x == 10
        for converter in (level, attrs.Converter(level)):
            problem = "site.toml:2: it.x must be text, not 3"
            assert faults(one_field(int, converter=converter), "[it]\nx = 3") == [problem]
        assert faults(one_field(int, converter=level), "[it]\nx = 'mid'") == [
            "site.toml:2: it.x was rejected: mid (the value is 'mid')"
        ]

    def test_the_key_of_a_private_field_is_the_name_of_its_argument(self) -> None:
        """A field that is not an argument of `__init__` is not a setting."""

        @attrs.frozen
        class Settings:
            _x: int
            y: int = attrs.field(init=False, default=3)

        cls = Settings
        attrs.resolve_types(cls, localns={"int": int})
        settings = read(cls, "[it]\nx = 5")

        assert (settings._x, settings.y) == (5, 3)
        assert faults(cls, "[it]\nx = 5\ny = 4") == ["site.toml:3: it.y is not a setting; this table has: x"]


class TestFaults:
    def test_six_faults_are_six_lines(self) -> None:
        """Each with file, line and key, in the order of the file; nothing is constructed."""
        path = write(
            """\
            [shop]
            port = "eighty"
            products = [
              {sku = "TEA", price = -5},
              {sku = "CUP", prize = 3},
            ]
            web.login = "root"

            [shpo]
            port = 1
            """
        )
        shop = Shop()

        with pytest.raises(InvalidSettings) as raised:
            load(shop, sources=Sources(files=(path,), environ={}))

        assert str(raised.value) == textwrap.dedent(
            """\
            invalid settings: 6 fault(s)
            - site.toml:1: shop.database is missing; set it here or with the environment variable SHOP_DATABASE
            - site.toml:2: shop.port must be a whole number, not 'eighty'
            - site.toml:4: shop.products[0].price must be >= 0: -5
            - site.toml:5: shop.products[1].prize is not a setting; did you mean price?
            - site.toml:7: shop.web.login must be a table; its value is not shown
            - site.toml:9: shpo is not a section; did you mean [shop]?"""
        )
        assert shop.settings.overriding is None

    def test_a_fault_has_source_line_key_and_problem_as_attributes(self) -> None:
        """A program can report them in another form."""
        path = write("[it]\nx = 'a'")
        with pytest.raises(InvalidSettings) as raised:
            read(one_field(int), files=[path], options={"it.y": "1"})

        first, second = raised.value.exceptions

        assert isinstance(first, SettingsFault)
        assert isinstance(second, SettingsFault)
        assert (first.source, first.line, first.key) == (path, 2, "it.x")
        assert first.problem == "must be a whole number, not 'a'"
        assert (second.source, second.line, second.key) == ("option it.y", None, "it.y")

    def test_faults_survive_pickling_and_splitting(self) -> None:
        """They can be sent to another process, and caught in parts."""
        group = InvalidSettings([SettingsFault(Path("a"), 1, "b", "is c"), SettingsFault(None, None, "d", "is e")])

        again = pickle.loads(pickle.dumps(group))
        part, rest = group.split(lambda fault: isinstance(fault, SettingsFault) and fault.source is None)

        assert str(again) == str(group)
        assert isinstance(part, InvalidSettings)
        assert [str(fault) for fault in part.exceptions] == ["d is e"]
        assert isinstance(rest, InvalidSettings)

    def test_faults_are_sorted_by_file_and_line_and_then_those_of_environment_and_options(self) -> None:
        """This is the order in which a deployer corrects them."""
        cls = attrs.make_class("Settings", {name: attrs.field(type=int) for name in ("a", "b", "c", "d")}, frozen=True)
        write("[it]\nd = 'x'", "b.toml")
        write("[it]\n\n\n\nc = 'x'", "a.toml")

        assert faults(cls, files=[Path("b.toml"), Path("a.toml")], environ={"IT_B": "x"}, options={"it.a": "x"}) == [
            "b.toml:2: it.d must be a whole number, not 'x'",
            "a.toml:5: it.c must be a whole number, not 'x'",
            "option it.a: it.a must be a whole number, not 'x'",
            "environment variable IT_B: it.b must be a whole number, not 'x'",
        ]

    def test_a_missing_setting_is_reported_at_the_place_where_it_belongs(self) -> None:
        """The line of its table, or else the file, or else no place."""
        hint = "or with the environment variable IT_X"
        assert faults(one_field(int), "\n[it]") == [f"site.toml:2: it.x is missing; set it here {hint}"]
        assert faults(one_field(int), "") == [f"site.toml: it.x is missing; set it here {hint}"]
        assert faults(one_field(list[Product]), "[it]\nx = [\n{}]") == [
            "site.toml:3: it.x[0].sku is missing; set it here"
        ]
        assert faults(one_field(Web | None), "[it]") == ["site.toml:1: it.x is missing; set it here"]
        shop = Shop()
        with pytest.raises(InvalidSettings) as raised:
            load(shop, sources=Sources(environ={}))
        assert str(raised.value.exceptions[0]) == (
            "shop.database is missing; set it in a file or with the environment variable SHOP_DATABASE"
        )
        assert faults(one_field(Product), "[it]") == [
            "site.toml:1: it.x.sku is missing; set it here or with the environment variable IT_X_SKU"
        ]

    def test_an_unknown_key_or_option_is_a_fault_that_suggests_a_similar_one(self) -> None:
        """Without a similar one, the settings of the table are listed."""
        assert faults(
            Web, "[it]\nprot = 1\nxyz = 2\nlogin.usr = ''", options={"it.potr": "1", "port": "1", "q": ""}
        ) == [
            "site.toml:2: it.prot is not a setting; did you mean port?",
            "site.toml:3: it.xyz is not a setting; this table has: host, port, login",
            "site.toml:4: it.login.usr is not a setting; did you mean user?",
            "option it.potr: it.potr is not a setting; did you mean it.port?",
            "option port: port is not a setting; did you mean it.port?",
            "option q: q is not a setting",
        ]

    def test_an_entry_outside_of_all_sections_is_a_fault(self) -> None:
        """Tables and single keys alike."""
        assert faults(Web, "x = 1\n[other]\ny = 2") == [
            "site.toml:1: x is not a section; the sections are: [it]",
            "site.toml:2: other is not a section; the sections are: [it]",
        ]

    def test_a_file_for_containers_without_settings_is_a_fault(self) -> None:
        """No component would read it."""

        class Site(Container):
            bus = Component(Bus)

        with pytest.raises(InvalidSettings) as raised:
            load(Site(), sources=Sources(files=(write("[shop]"),), environ={}))

        assert str(raised.value.exceptions[0]) == "site.toml:1: shop is not a section; no container declares settings"

    def test_a_section_that_is_not_a_table_is_a_fault_without_faults_of_missing_settings(self) -> None:
        """Options for the section are still checked."""
        assert faults(Product, "it = 5") == ["site.toml:1: it must be a table, not 5"]
        assert faults(Product, "[[it]]", options={"it.price": "x"}) == [
            "site.toml:1: it must be a table, not a list",
            "option it.price: it.price must be a whole number, not 'x'",
        ]

    def test_a_variable_that_two_settings_share_is_a_fault(self) -> None:
        """Which of them it sets would be undefined."""

        @attrs.frozen
        class Inner:
            port: int = 1

        cls = attrs.make_class(
            "Settings", {"web": attrs.field(type=Inner, factory=Inner), "web_port": attrs.field(type=int, default=2)}
        )
        attrs.resolve_types(Inner, localns={"int": int})

        assert faults(cls, environ={"IT_WEB_PORT": "3"}) == [
            "environment variable IT_WEB_PORT: it.web_port shares this variable with it.web.port; set both in a file"
        ]

    @pytest.mark.parametrize(
        ("content", "problem"),
        [
            (
                b"[it",
                "site.toml: is not valid TOML: Expected ']' at the end of a table declaration (at end of document)",
            ),
            (b"[it]\nx = \n", "site.toml:2: is not valid TOML: Invalid value in column 5"),
            (b"[it]\n# \xff\n", "site.toml:2: is not valid TOML: it is not encoded in UTF-8; save it in that encoding"),
            (b"x = " + b"[" * 20_000, "site.toml: cannot be read: its lists or tables are nested too deeply"),
        ],
    )
    def test_a_file_that_is_not_toml_is_one_fault_with_line_and_column(self, content: bytes, problem: str) -> None:
        """No settings are reported as missing in addition."""
        Path("site.toml").write_bytes(content)

        assert faults(Product, files=[Path("site.toml")]) == [problem]

    def test_a_file_that_cannot_be_read_is_a_fault_beside_the_others(self) -> None:
        """Every file that is named must exist."""
        Path("folder").mkdir()

        assert faults(Web, files=[Path("nowhere.toml"), Path("folder"), write("[it]\nport = 0")]) == [
            "nowhere.toml: cannot be read: No such file or directory",
            "folder: cannot be read: Is a directory",
            "site.toml:2: it.port must be > 0: 0",
        ]

    @pytest.mark.skipif(getattr(os, "geteuid", lambda: 0)() == 0, reason="root may read everything")
    def test_a_file_that_this_user_may_not_read_is_a_fault(self) -> None:
        """It has the reason of the system."""
        write("[it]").chmod(0)

        assert faults(Web, files=[Path("site.toml")]) == ["site.toml: cannot be read: Permission denied"]


class TestValidators:
    def test_all_validators_are_called(self) -> None:
        """attrs itself would stop at the first failure."""
        settings = attrs.make_class(
            "Settings",
            {
                "a": attrs.field(type=int, validator=attrs.validators.ge(1)),
                "b": attrs.field(type=str, validator=attrs.validators.in_(["x", "y"])),
                "c": attrs.field(type=str, validator=attrs.validators.max_len(2), default="long"),
                "d": attrs.field(type=int, default=1),
            },
        )

        assert faults(settings, "[it]\na = 0\nb = 'z'\nd = 'x'") == [
            "site.toml:1: it.c was rejected: Length of 'c' must be <= 2: 4",
            "site.toml:2: it.a must be >= 1: 0",
            "site.toml:3: it.b must be in ['x', 'y'] (got 'z')",
            "site.toml:4: it.d must be a whole number, not 'x'",
        ]

    def test_a_validator_may_read_other_settings(self) -> None:
        """It is not called if one of these is invalid: only that is a fault."""

        @attrs.frozen
        class Range:
            low: Any = attrs.field(converter=int)
            high: Any = attrs.field(converter=int)

            @high.validator
            def _ordered(self, attribute: object, value: int) -> None:
                if value < self.low:
                    raise ValueError(f"must be {self.low} or more")

        assert read(Range, "[it]\nlow = 1\nhigh = 2") == Range(1, 2)
        assert faults(Range, "[it]\nlow = 3\nhigh = 2") == ["site.toml:3: it.high must be 3 or more (the value is 2)"]
        assert faults(Range, "[it]\nlow = 'x'\nhigh = 2") == [
            "site.toml:2: it.low was rejected: invalid literal for int() with base 10: 'x'"
        ]

    def test_a_validator_gets_converted_values_and_defaults(self) -> None:
        """As in `__init__` of attrs."""
        seen: list[object] = []

        def double(number: int) -> int:
            return number * 2

        def look(instance: Any, attribute: object, value: object) -> None:
            seen.append((instance.a, instance.b, instance.c, value))

        cls: type[Any] = attrs.make_class(
            "Settings",
            {
                "a": attrs.field(factory=list),
                "b": attrs.field(default=attrs.Factory(lambda self: [*self.a, 1], takes_self=True)),
                "c": attrs.field(init=False, default=3),
                "d": attrs.field(converter=double, validator=look),
                "e": attrs.field(converter=attrs.Converter(double), validator=attrs.validators.ge(4)),
            },
            kw_only=True,
        )

        assert read(cls, "[it]\nd = 2\ne = 2").e == 4
        assert seen == [([], [1], 3, 4)] * 2
        assert faults(cls, "[it]\nd = 1\ne = 1") == ["site.toml:3: it.e must be >= 4: 2 (the value is 1)"]

    def test_an_exception_of_the_class_is_a_fault_of_its_table(self) -> None:
        """Of any type."""

        @attrs.frozen
        class Settings:
            x: Any = 1

            def __attrs_post_init__(self) -> None:
                if self.x == 2:
                    raise RuntimeError
                if self.x == 3:
                    raise ValueError("give\n  another")

        assert faults(Settings, "\n[it]\nx = 2") == ["site.toml:2: it was rejected: RuntimeError"]
        assert faults(Settings, "\n[it]\nx = 3") == ["site.toml:2: it was rejected: give another"]
        assert faults(one_field(Settings), "[it]", environ={"IT_X_X": "1"}, options={"it.x.y": "1"}) == [
            "option it.x.y: it.x.y is not a setting; did you mean it.x.x?"
        ]


class TestSecrets:
    WORDS = ("hunter2", "hunter3", "hunter4", "hunter5", "hunter6", "hunter7")

    def test_secrets_are_in_no_fault_and_no_traceback(self) -> None:
        """Whatever is invalid about them, and from every source."""

        def refuse(instance: object, attribute: object, value: object) -> None:
            raise ValueError(f"must not be {value}, {value!r}")

        settings = attrs.make_class(
            "Settings",
            {
                "a": attrs.field(type=Secret[int]),
                "b": attrs.field(type=SecretStr, validator=refuse),
                "c": attrs.field(type=str, repr=False, validator=refuse),
                "d": attrs.field(type=tuple[Login, ...]),
                "e": attrs.field(type=as_type(Login | int)),
                "f": attrs.field(type=as_type(Login | None), default=None),
                "g": attrs.field(type=SecretStr, converter=attrs.converters.optional(SecretStr), default="hunter7"),
            },
        )
        text = """\
            [it]
            a = "hunter2"
            b = "hunter3"
            c = "hunter4"
            d = "hunter5"
            e = "hunter6"
            f = "hunter7"
            """

        with pytest.raises(InvalidSettings) as raised:
            read(settings, text, options={"it.f.pasword": self.WORDS[0]})

        output = "".join(traceback.format_exception(raised.value)) + repr(raised.value)
        assert not [word for word in self.WORDS if word in output]
        assert [str(fault) for fault in raised.value.exceptions] == [
            "site.toml:2: it.a must be a whole number; its value is not shown",
            "site.toml:3: it.b was rejected; the reason is not shown because the value is secret",
            "site.toml:4: it.c was rejected; the reason is not shown because the value is secret",
            "site.toml:5: it.d must be a list; its value is not shown",
            "site.toml:6: it.e must be a table or a whole number; its value is not shown",
            "site.toml:7: it.f must be a table; its value is not shown",
            "option it.f.pasword: it.f.pasword is not a setting; did you mean it.f.password?",
        ]

    def test_the_argument_of_a_converter_may_be_secret(self) -> None:
        """Even if the field has another type."""

        def shout(text: SecretStr) -> str:
            return text.upper()

        assert read(one_field(str, converter=shout), "[it]\nx = 'a'").x == "A"
        problem = "site.toml:2: it.x must be text; its value is not shown"
        assert faults(one_field(str, converter=shout), "[it]\nx = 12345") == [problem]
        assert faults(one_field(Annotated[SecretStr, "of the database"]), "[it]\nx = 12345") == [problem]

    def test_messages_of_classes_and_other_validators_are_shown_without_secrets(self) -> None:
        """Texts shorter than a secret of four characters stay readable."""

        def differs(instance: Any, attribute: object, value: str) -> None:
            raise ValueError(f"must not end like {instance.password}")

        def refuse(instance: Any) -> None:
            raise ValueError(f"{instance.password} has no 1: {instance.password!r}")

        login = attrs.make_class(
            "Login",
            {"password": attrs.field(type=SecretStr), "user": attrs.field(type=str, validator=differs)},
        )
        checked = attrs.make_class(
            "Checked",
            {
                "password": attrs.field(type=str, repr=False),
                "pin": attrs.field(type=Secret[int]),
                "__attrs_post_init__": refuse,
            },
        )

        assert faults(login, "[it]\npassword = 'hunter2'\nuser = 'me'") == [
            "site.toml:3: it.user must not end like ******* (the value is 'me')"
        ]
        assert faults(checked, "[it]\npassword = 'hunter\"2'\npin = 1") == [
            "site.toml:1: it was rejected: ******* has no 1: '*******'"
        ]

    def test_a_loaded_secret_is_in_no_repr(self) -> None:
        """Only code that requests it gets the value."""
        cls = attrs.make_class("Settings", {"a": attrs.field(type=Secret[int]), "b": attrs.field(type=SecretStr)})

        settings = read(cls, "[it]\na = 12345\nb = 'hunter2'")

        assert settings.a.get_secret_value() == 12345
        assert settings.b == "hunter2"
        assert "hunter2" not in repr(settings)
        assert "12345" not in repr(settings)

    def test_classes_that_contain_themselves_are_read(self) -> None:
        """The search for secrets in them ends."""
        assert read(Tree, "[it]\nnext.next.name = 'c'\nmore = [{name = 'd'}]") == Tree(
            next=Tree(next=Tree("c")), more=(Tree("d"),)
        )


@attrs.frozen
class Tree:
    name: str = ""
    next: Tree | None = None
    more: tuple[Tree, ...] = ()


class Gauges(Container):
    settings = configured(Login, section="login")


class TestContainers:
    def test_settings_of_nested_and_other_containers_are_loaded_together(self) -> None:
        """All faults of all of them are reported."""

        class Infra(Container):
            settings = configured(Login, section="login")

        class Site(Container):
            infra = Infra()
            shop = configured(Product, section="product")

        class Other(Container):
            web = configured(Web, section="web")
            again = configured(Product, section="product")

        site, other = Site(), Other()
        text = "[login]\nuser = 'me'\n[product]\nsku = 'A'\n[web]\nport = 5"

        load(site, other, sources=Sources(files=(write(text),), environ={}))

        assert site.infra.settings().user == "me"
        assert other.web().port == 5
        assert site.shop() is other.again()
        with pytest.raises(InvalidSettings, check=lambda invalid: len(invalid.exceptions) == 3):
            load(Site(), Other(), sources=Sources(files=(write(text.replace("= '", "= 1 # '").replace("5", "0")),)))

    def test_settings_of_contributed_containers_are_loaded_as_well(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A distribution has a section of its own in the file of the site."""
        about = folder / "metrics-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: metrics\nVersion: 1.0\n", encoding="utf-8")
        entry = f"[{folder.name}]\ngauges = {__name__}:Gauges\n"
        (about / "entry_points.txt").write_text(entry, encoding="utf-8")
        monkeypatch.syspath_prepend(folder)

        class Site(Container):
            settings = configured(Web, section="web")
            plugins = Contributed(folder.name)

        site = Site()
        load(site, sources=Sources(environ={"LOGIN_USER": "them"}))

        assert list(site.plugins) == ["metrics:gauges"]
        assert [one() for one in configured_in(site)] == [Web(), Login("them")]

    def test_validation_checks_the_types_of_settings_before_they_are_loaded(self) -> None:
        """A misfit is a fault of the container; nothing is read or constructed."""

        class Site(Container):
            settings = configured(ShopSettings, section="shop")
            database = Component(Database, settings.provided.port)  # type: ignore[arg-type]  # what a user without a checker might write

        with pytest.raises(InvalidContainer) as raised:
            Site().validate()

        (fault,) = raised.value.exceptions
        assert isinstance(fault, TypeFault)
        assert "takes 'path' as pathlib.Path and is given int (Site.settings.port)" in str(fault).replace(
            "pathlib._local", "pathlib"
        )

    def test_fields_may_have_the_names_of_life_cycle_channels(self) -> None:
        """Settings have no hooks."""
        cls: type[Any] = attrs.make_class(
            "Settings", {name: attrs.field(type=str, default="") for name in ("start", "stop", "log", "main", "sotp")}
        )

        class Site(Container):
            bus = Component(Bus)
            settings = configured(cls, section="it")

        with running(site := Site()):
            assert site.settings().start == ""

    def test_a_declaration_has_its_path_and_place(self) -> None:
        """Like any component."""
        assert Shop.settings.path == "Shop.settings"
        assert re.search(r"test_settings\.py:\d+$", Shop.settings.place)
        assert repr(Shop.settings.builds).endswith("ShopSettings from [shop]")

    def test_loaded_settings_stay_for_the_life_of_the_container(self) -> None:
        """Over stops and exits of its bus, without a reference to anything that `load` made."""
        shop = Shop()
        load(shop, sources=Sources(environ={"SHOP_DATABASE": "/first"}))
        gc.collect()
        loaded = shop.settings()

        for _ in range(2):
            with running(shop):
                assert shop.settings() is loaded
                assert shop.database().path == Path("/first")
            assert shop.bus().state is State.EXITED

    def test_a_second_load_before_any_construction_replaces_the_first(self) -> None:
        """The last sources are in force."""
        shop = Shop()
        load(shop, sources=Sources(environ={"SHOP_DATABASE": "/first"}))

        load(shop, sources=Sources(environ={"SHOP_DATABASE": "/second"}))

        assert shop.database().path == Path("/second")

    def test_loading_after_a_construction_raises(self) -> None:
        """Components that exist would keep the old settings; no component gets new ones."""

        class Site(Shop):
            other = configured(Login, section="login")

        site = Site()
        sources = Sources(environ={"SHOP_DATABASE": "/a"})
        load(site, sources=sources)
        site.database()

        with pytest.raises(
            OverrideError,
            match=r"Site\.settings .*Site\.database has already been constructed; call load\(\) before that",
        ):
            load(site, sources=sources)
        assert site.other.overriding is None or site.other() == Login()

    def test_overridden_settings_are_not_loaded(self) -> None:
        """Their section is not checked either."""
        shop = Shop()
        mine = ShopSettings(Path("/mine"))

        with shop.override(Shop.settings).by(mine):
            load(shop, sources=Sources(files=(write("[shop]\nport = 'x'"),), options={"shop.x": "1"}, environ={}))

            assert shop.settings() is mine

    def test_an_override_after_loading_holds_until_its_end(self) -> None:
        """After it the loaded settings are in force again."""
        shop = Shop()
        load(shop, sources=Sources(environ={"SHOP_DATABASE": "/a"}))

        with shop.override(Shop.settings).by(ShopSettings(Path("/b"))):
            assert shop.database().path == Path("/b")

        assert shop.database().path == Path("/a")

    def test_settings_that_only_an_overridden_component_needs_are_not_loaded(self) -> None:
        """The replacement does not need them."""

        class Hidden(Container):
            database = Component(
                Database, Component(Database, configured(ShopSettings, section="shop").provided.database).provided.path
            )

        hidden = Hidden()
        with hidden.override(Hidden.database).by(Database(Path("/fake"))):
            load(hidden, sources=Sources(environ={}))

    def test_two_classes_cannot_share_a_section(self) -> None:
        """Each would report the keys of the other as unknown."""

        class Site(Container):
            a = configured(Login, section="it")
            b = configured(Web, section="it")

        with pytest.raises(
            DeclarationError,
            match=r"Site\.b .*: Site\.a .* has another class in its section, \[it\]; choose another name",
        ):
            load(Site(), sources=Sources(environ={}))

    @pytest.mark.parametrize("section", ["", "a.b", "a b", None, 5])
    def test_the_name_of_a_section_is_a_bare_key(self, section: Any) -> None:
        """It must be valid without quotes, and in the environment."""
        with pytest.raises(
            DeclarationError, match=rf"test_settings\.py:\d+\): {re.escape(repr(section))} is not the name of a section"
        ):
            configured(Web, section=section)

    def test_settings_must_be_an_attrs_class(self) -> None:
        """Other objects have no fields."""
        wrong: Any
        for wrong in (Database, Web(), "Web", None):
            with pytest.raises(
                DeclarationError, match="it is not an attrs class; pass the class whose fields are the settings"
            ):
                configured(wrong, section="it")


class TestTemplate:
    def test_it_has_every_setting_with_type_and_default(self) -> None:
        """Required and secret settings have no value."""

        class Site(Container):
            web = configured(one_field(Colour), section="web")
            shop = Shop()
            log = configured(one_field(Literal["a", 2], default=2), section="log")

        assert template(Site()) == textwrap.dedent(
            """\
            [web]
            # x =  # one of 'RED', 'BLUE'; required

            [shop]
            # database =  # a path; required
            # port = 8080  # a whole number
            # password =  # text; secret

            # [[shop.products]]
            # sku =  # text; required
            # price = 0  # a whole number

            # [shop.web]
            # host = "localhost"  # text
            # port = 9000  # a whole number

            # [shop.web.login]
            # user = "shop"  # text
            # password =  # text; secret

            [log]
            # x = 2  # one of 'a', 2
            """
        )

    def test_its_defaults_are_valid_toml_values(self) -> None:
        """A deployer only removes the comment sign."""
        defaults: dict[Any, object] = {
            bool: False,
            int: 5,
            float: float("inf"),
            str: 'a "b" \\ ä',
            Path: Path("/a b"),
            Colour: Colour.BLUE,
            Size: Size.LARGE,
            Mode: Mode.OPEN,
            dt.date: dt.date(2024, 5, 31),
            dt.time: dt.time(9, 30),
            dt.datetime: dt.datetime(2024, 5, 31, 9, 30, tzinfo=dt.UTC),
            dt.timedelta: dt.timedelta(hours=1),
            tuple[int, ...]: (1, 2),
            list[str]: ["a"],
            dict[str, float]: {"a b": 1.0},
            Web: Web("elsewhere", 7),
        }
        fields = {
            f"x{number}": attrs.field(type=as_type(one), default=two)
            for number, (one, two) in enumerate(defaults.items())
        }
        cls: type[Any] = attrs.make_class("Settings", fields, frozen=True)

        class Site(Container):
            it = configured(cls, section="it")

        text = re.sub("^# (?!.*; secret)", "", template(Site()), flags=re.MULTILINE)

        assert len(text.splitlines()) > len(defaults)
        assert "=  #" not in text.replace("password =  #", "")
        assert read(cls, text) == cls()

    def test_a_default_that_toml_cannot_express_is_left_out(self) -> None:
        """Such as None, or a default that is made for each instance."""
        fields = {
            "a": attrs.field(type=as_type(int | None), default=None),
            "b": attrs.field(type=int, default=attrs.Factory(lambda self: 5, takes_self=True)),
            "c": attrs.field(type=as_type(list[Any]), factory=lambda: [None]),
            "d": attrs.field(type=as_type(dict[str, Any]), factory=lambda: {"a": None}),
            "e": attrs.field(type=str, default="a\nb"),
            "f": attrs.field(type=as_type(Tree | None), default=None),
            "g": attrs.field(type=Secret[int], default=Secret(12345)),
        }

        cls: type[Any] = attrs.make_class("Settings", fields)

        class Site(Container):
            it = configured(cls, section="it")

        assert template(Site()) == textwrap.dedent(
            """\
            [it]
            # a =  # a whole number
            # b =  # a whole number
            # c =  # a list
            # d =  # a table
            # e =  # text
            # g =  # a whole number; secret

            # [it.f]
            # name = ""  # text
            # next =  # a table
            # more = []  # a list
            """
        )


class TestWithoutLoad:
    def test_settings_without_load_come_from_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """They are read when they are constructed."""
        shop = Shop()
        monkeypatch.setenv("SHOP_DATABASE", "/a")

        assert shop.database().path == Path("/a")

    def test_they_come_from_the_files_that_the_environment_names(
        self, monkeypatch: pytest.MonkeyPatch, folder: Path
    ) -> None:
        """Later files take precedence; sections of other components are not checked."""
        write("[shop]\ndatabase = 'a.db'\nport = 1\n[other]", "a.toml")
        write("[shop]\nport = 2", "b.toml")
        monkeypatch.setenv("TYPEDBUS_CONFIG", os.pathsep.join(["a.toml", "", "b.toml"]))

        settings = Shop().settings()

        assert (settings.database, settings.port) == (folder / "a.db", 2)

    def test_their_faults_are_those_of_load(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The start fails with them, and no component that needs them is constructed."""
        write("[shop]\nport = 'x'\nweb.port = 0")
        monkeypatch.setenv("TYPEDBUS_CONFIG", "site.toml")

        with pytest.raises(TransitionFailures) as raised, running(Shop()):
            pass

        (invalid,) = raised.value.exceptions
        assert isinstance(invalid, InvalidSettings)
        assert [str(fault) for fault in invalid.exceptions] == [
            "site.toml:1: shop.database is missing; set it here or with the environment variable SHOP_DATABASE",
            "site.toml:2: shop.port must be a whole number, not 'x'",
            "site.toml:3: shop.web.port must be > 0: 0",
        ]


@pytest.mark.slow
@pytest.mark.parametrize("library", ["typed_settings", "cattrs"])
def test_the_import_without_its_libraries_names_the_extra_to_install(library: str) -> None:
    """The error has the command that installs the extra."""
    code = f"import sys; sys.modules[{library!r}] = None; import typedbus.settings"

    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert ended.stderr.endswith(f"typedbus.settings needs {library}: pip install 'typedbus[settings]'\n")


class TestLines:
    def test_text_that_looks_like_a_key_is_skipped(self) -> None:
        """Multi-line strings, comments and arrays are skipped by the rules of TOML."""
        text = textwrap.dedent(
            """\
            # [no]
            a = 1  # b = 2
            c.d = "e # f"
            [shop] # g = 1
            "h.i" = \"\"\"
            [no]
            no = 1 \\\"\"\" ""a\"\"\"\"\"
            j = [ "k", # l ]
              "m", [1,
             2], {n = 'o', p.q = [
             3]},
            ]
            [[shop.r]]
            s = '\''it's
            no = ['\''
            [shop.r.t]
            [[shop.r]]
            u = 1979-05-27 07:32:00
            [ v . 'w x' ]
            [v]
            """
        )

        assert {dotted(key): line for key, line in lines_of(text).items()} == {
            "a": 2,
            "c": 3,
            "c.d": 3,
            "shop": 4,
            'shop."h.i"': 5,
            "shop.j": 8,
            "shop.j[0]": 8,
            "shop.j[1]": 9,
            "shop.j[2]": 9,
            "shop.j[2][0]": 9,
            "shop.j[2][1]": 10,
            "shop.j[3]": 10,
            "shop.j[3].n": 10,
            "shop.j[3].p": 10,
            "shop.j[3].p.q": 10,
            "shop.j[3].p.q[0]": 11,
            "shop.r": 13,
            "shop.r[0]": 13,
            "shop.r[0].s": 14,
            "shop.r[0].t": 16,
            "shop.r[1]": 17,
            "shop.r[1].u": 18,
            "v": 20,
            'v."w x"': 19,
        }
        assert paths(tomllib.loads(text)) == set(lines_of(text))

    @pytest.mark.slow
    @settings(deadline=None, database=None)
    @given(st.data())
    def test_every_key_of_a_document_is_found_on_its_line(self, data: st.DataObject) -> None:
        """With any text around it; tomllib determines which keys exist."""
        text = data.draw(documents())

        numbers = lines_of(text)

        assert set(numbers) == paths(tomllib.loads(text))
        lines = text.split("\n")
        for key, line in numbers.items():
            if isinstance(key[-1], str):
                name = re.match(r"key\d+", key[-1])
                assert name is not None
                assert re.search(rf"{name[0]}\b", lines[line - 1])


def paths(document: object, key: tuple[str | int, ...] = ()) -> set[tuple[str | int, ...]]:
    """Return the path of every value in a document."""
    match document:
        case dict():
            parts: list[tuple[str | int, object]] = list(document.items())
        case list():
            parts = list(enumerate(document))
        case _:
            parts = []
    return {(*key, part) for part, _ in parts}.union(*(paths(value, (*key, part)) for part, value in parts))


#: Texts without digits, so that they cannot contain the name of a key.
LOOKALIKE = st.text("ab =[]{},.#'\"\\ \t", max_size=12)
SPACE = st.sampled_from(["", " ", "\t", "  "])
GAP = st.sampled_from(["", " ", "\n", "\n\n  ", " # a = [ ' \"\n", "#\n\t"])


@st.composite
def documents(draw: st.DrawFn) -> str:
    """Draw valid documents in which each key has a unique name."""
    names = iter(range(10_000))

    def name() -> str:
        plain = f"key{next(names)}"
        return draw(st.sampled_from([plain, f"'{plain} .# ='", f'"{plain}.]\\u00e4"', f'"{plain}\\"="']))

    def dotted_name() -> str:
        dot = f"{draw(SPACE)}.{draw(SPACE)}"
        return dot.join(name() for _ in range(draw(st.integers(1, 3))))

    def value(depth: int) -> str:
        kind = draw(st.integers(0, 7 if depth else 5))
        text = draw(LOOKALIKE)
        match kind:
            case 0:
                return draw(st.sampled_from(["true", "-1.5e3", "0x1F", "1979-05-27 07:32:00Z", "1979-05-27", "inf"]))
            case 1:
                return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
            case 2:
                return "'" + text.replace("'", "") + "'"
            case 3:
                # Stripped first: a backslash that has lost its quote would escape the end of the text.
                inner = text.rstrip('"').replace("\\", "\\\\").replace('"""', '""\\"')
                lines = draw(st.sampled_from(["\n", "\\\n  ", "a\n[b]\n"]))
                return f'"""{lines}{inner}{draw(st.sampled_from(["", chr(34), chr(34) * 2]))}"""'
            case 4:
                inner = re.sub("'{3,}", "''", text).rstrip("'")
                return f"'''\n[a]\n{inner}{draw(st.sampled_from(['', chr(39), chr(39) * 2]))}'''"
            case 5:
                return "[]" if draw(st.booleans()) else "{}"
            case 6:
                members = [f"{draw(GAP)}{value(depth - 1)}{draw(GAP)}" for _ in range(draw(st.integers(0, 3)))]
                end = f",{draw(GAP)}" if draw(st.booleans()) and members else ""
                return f"[{','.join(members)}{end}]"
            case _:
                pairs = [
                    f"{draw(SPACE)}{dotted_name()}{draw(SPACE)}={draw(SPACE)}{value(depth - 1)}{draw(SPACE)}"
                    for _ in range(draw(st.integers(0, 3)))
                ]
                return "{" + ",".join(pairs) + "}"

    def body() -> list[str]:
        pairs = range(draw(st.integers(0, 3)))
        end = st.sampled_from(["", " # [a]", "\n", "\n# b = 1\n"])
        return [f"{draw(SPACE)}{dotted_name()}{draw(SPACE)}={draw(SPACE)}{value(2)}{draw(end)}" for _ in pairs]

    lines = body()
    for _ in range(draw(st.integers(0, 4))):
        header = dotted_name()
        if draw(st.booleans()):
            lines += [f"{draw(SPACE)}[{draw(SPACE)}{header}{draw(SPACE)}]{draw(SPACE)}", *body()]
        else:
            for _ in range(draw(st.integers(1, 3))):
                lines += [f"[[{header}]] # [a]", *body()]
                if draw(st.booleans()):
                    lines += [f"[{header}.{name()}]", *body()]
    return "\n".join(lines)
