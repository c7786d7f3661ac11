"""What the README, the docs and the docstrings show is true: their examples run, their tables agree with the code.

A fence ```python is executed, and so is ```python mqtt, with a real broker where it says localhost. The blocks of a
file share one namespace. A fence ```text output is what the block before it prints.
"""

import ast
import doctest
import importlib
import io
import json
import re
import shlex
import subprocess
import sys
import tomllib
import types
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest

import purista_fast
from purista_fast import App, config
from tests.mosquitto import Mosquitto, mosquitto
from tests.patience import patient

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
PACKAGE = Path(purista_fast.__file__).parent
MODULES = sorted(
    ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
    for file in PACKAGE.rglob("*.py")
    if file.name != "__main__.py"
)
FENCE = re.compile(r"^```(?P<kind>.*)\n(?P<text>(?:.*\n)*?)```$", re.MULTILINE)
ROW = re.compile(r"^\| `(?P<key>\w+)` \| (?P<default>.+?) \| ", re.MULTILINE)
LOCALHOST = "mqtt://localhost:1883"
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def fences(page: Path) -> Iterator[tuple[str, int, str]]:
    """Kind, line and text of each fenced block."""
    text = page.read_text("utf-8")
    for found in FENCE.finditer(text):
        yield found["kind"], text.count("\n", 0, found.start()) + 2, found["text"]


def pages_with(*kinds: str) -> list[Any]:
    return [pytest.param(page, id=page.name) for page in PAGES if any(kind in kinds for kind, _, _ in fences(page))]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with mosquitto(tmp_path_factory.mktemp("mosquitto")) as running:
        yield running


@pytest.mark.parametrize("page", pages_with("python"))
def test_examples_of_a_page_run(
    page: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    namespace = types.ModuleType(page.stem).__dict__
    printed = ""
    for kind, line, text in fences(page):
        if kind == "python mqtt":
            text = text.replace(LOCALHOST, request.getfixturevalue("broker").url)
        if kind in ("python", "python mqtt"):
            output = io.StringIO()
            with redirect_stdout(output):
                # The empty lines make a traceback point to the line of the page.
                exec(compile("\n" * (line - 1) + text, str(page), "exec", dont_inherit=True), namespace)
            printed = output.getvalue()
        if kind == "text output":
            assert printed == text, f"{page.name}:{line}"


def test_the_first_service_of_the_readme_is_whole() -> None:
    """The first block alone makes an application, for `purista-fast run greenhouse:app`."""
    first = next(text for kind, _, text in fences(ROOT / "README.md") if kind == "python")
    namespace = types.ModuleType("greenhouse").__dict__
    exec(compile(first, "greenhouse.py", "exec", dont_inherit=True), namespace)
    assert isinstance(namespace["app"], App)


@pytest.fixture
def greenhouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the first service in it."""
    first = next(text for kind, _, text in fences(ROOT / "README.md") if kind == "python")
    (tmp_path / "greenhouse.py").write_text(first, "utf-8")
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    return tmp_path


def shell_line(part: str, url: str = LOCALHOST) -> list[str]:
    """The one command of the README with this part in it."""
    shell = "".join(text for kind, _, text in fences(ROOT / "README.md") if kind == "sh")
    (line,) = (line for line in shell.splitlines() if line.startswith("purista-fast") and part in line)
    return [sys.executable, "-m", "purista_fast.cli", *shlex.split(line.replace(LOCALHOST, url))[1:]]


def test_the_first_service_answers_the_shell(greenhouse: Path) -> None:
    line = shell_line("--app greenhouse:app")
    done = subprocess.run(line, cwd=greenhouse, capture_output=True, text=True, timeout=patient(30))
    assert (done.returncode, json.loads(done.stdout)) == (0, {"sensor": "window", "count": 1})


def test_the_first_service_answers_over_a_broker(greenhouse: Path, broker: Mosquitto) -> None:
    with subprocess.Popen(shell_line("run", broker.url), cwd=greenhouse, stderr=subprocess.PIPE, text=True) as running:
        try:
            assert running.stderr is not None
            assert any("ready" in line for line in running.stderr)
            line = shell_line('"door"', broker.url)
            done = subprocess.run(line, cwd=greenhouse, capture_output=True, text=True, timeout=patient(30))
            assert (done.returncode, json.loads(done.stdout)) == (0, {"sensor": "door", "count": 1})
        finally:
            running.terminate()
            running.communicate()
    assert running.returncode == 0


@pytest.mark.parametrize("page", pages_with("toml"))
def test_toml_of_a_page_is_a_configuration(page: Path, tmp_path: Path) -> None:
    for kind, line, text in fences(page):
        if kind == "toml":
            file = tmp_path / f"line_{line}.toml"
            file.write_text(text, "utf-8")
            config.load(file, environ={})
            for profile in tomllib.loads(text).get("profile", {}):
                config.load(file, profile=profile, environ={})


@pytest.mark.parametrize("section", ["bridge", "storage", "services", "states", "configs", "secrets", "app"])
def test_configuration_page_names_every_key_with_its_default(section: str) -> None:
    page = (ROOT / "docs" / "configuration.md").read_text("utf-8")
    part = page.partition(f"\n## `[{section}]`\n")[2].partition("\n## ")[0]
    written = {row["key"]: row["default"] for row in ROW.finditer(part)}
    kind = type(getattr(config.Settings(), section))
    assert list(written) == [field.encode_name for field in msgspec.structs.fields(kind)]
    values = {
        key: tomllib.loads(f"value = {text.strip('`')}")["value"] for key, text in written.items() if text != "unset"
    }
    assert config.fill(kind, values, "docs/configuration.md") == kind()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_points_to_exists(page: Path) -> None:
    text = page.read_text("utf-8")
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert (page.parent / target).exists(), target
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in re.findall(r"\bmake ([a-z]+)\b", "\n".join(re.findall(r"`+[^`]*\bmake [^`]*`+", text))):
        assert f".PHONY: {target}\n" in makefile, f"make {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_of_a_page_exist(page: Path) -> None:
    from purista_fast.cli.commands import main

    shell = "".join(text for kind, _, text in fences(page) if kind == "sh")
    lines = re.findall(r"^purista-fast ([a-z].*)", shell, re.MULTILINE)
    lines += re.findall(r"^\| `purista-fast ([a-z][^`]*)`", page.read_text("utf-8"), re.MULTILINE)
    for line in lines:
        name, *words = line.split()
        command = main.get_command(click.Context(main), name)
        while isinstance(command, click.Group):
            command = command.get_command(click.Context(command), words.pop(0))
        assert command is not None, line
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known, line


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name: str) -> None:
    module = importlib.import_module(name)
    runner = doctest.DocTestRunner(optionflags=OPTIONS)
    for example in doctest.DocTestFinder(exclude_empty=True).find(module):
        report = io.StringIO()
        runner.run(example, out=report.write)
        assert not report.getvalue(), report.getvalue()


def test_docstrings_of_the_extension() -> None:
    """They are in the stub file."""
    stub = PACKAGE / "_core.pyi"
    tree = ast.parse(stub.read_text("utf-8"))
    parser, runner = doctest.DocTestParser(), doctest.DocTestRunner(optionflags=OPTIONS)
    documented = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    assert documented
    for node in documented:
        names = dict(vars(purista_fast._core))
        example = parser.get_doctest(ast.get_docstring(node) or "", names, node.name, str(stub), node.lineno)
        report = io.StringIO()
        runner.run(example, out=report.write)
        assert not report.getvalue(), report.getvalue()
