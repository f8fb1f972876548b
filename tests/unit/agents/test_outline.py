from __future__ import annotations

import time

import pytest

from orchestration.agents.tools.outline import SourceFile, draw_map, outline


@pytest.mark.parametrize(
    ("path", "text", "names", "imports"),
    [
        (
            "a.py",
            "import x.tools\nfrom .b import c\nasync def go():\n    def inner(): ...\nclass K:\n",
            "go K",
            "tools b",
        ),
        ("a.ts", 'import {x} from "./deep/util";\nexport const a = 1;\nexport default class B {}\n', "a B", "util"),
        ("a.go", 'import (\n\t"example.com/m/store"\n)\nfunc (s *S) Get() {}\ntype S struct {}\n', "Get S", "store"),
        (
            "a.rs",
            "use crate::parser::Token;\nmod lexer;\npub fn run() {}\nimpl X {}\npub(crate) struct P;\n",
            "lexer run P",
            "",
        ),
        ("A.java", "import com.acme.Order;\n\npublic final class Shop {\n", "Shop", "order"),
        ("a.c", '#include "list.h"\nstatic int push(struct list *l) {\nstruct node {\n', "push node", "list"),
        ("a.rb", "require_relative 'store'\nclass Shop\n  def buy\n", "Shop buy", "store"),
        ("a.sh", "deploy() {\n}\n", "deploy", ""),
        ("a.txt", "def no(): ...\n", "", ""),
    ],
)
def test_definitions_and_imports_are_read_from_many_languages(path: str, text: str, names: str, imports: str) -> None:
    found = outline(path, text.encode())
    assert list(found.names) == names.split()
    assert set(imports.split()) <= found.imports


def _repository(count: int) -> list[SourceFile]:
    names = tuple(f"function_{number}" for number in range(12))
    return [
        SourceFile(
            f"src/part_{number % 40}/module_{number}.py", names, frozenset({"core", f"module_{number // 2}"}), True
        )
        for number in range(count)
    ] + [
        SourceFile("src/core.py", ("Engine",), is_code=True),
        SourceFile("README.md"),
        SourceFile("vendor/x/core.py", ("Old",), is_code=True),
    ]


@pytest.mark.parametrize("count", [3, 200, 5000, 50_000])
@pytest.mark.parametrize("tokens", [200, 2000, 8000])
def test_a_map_of_any_repository_fits_its_budget_and_shows_what_others_use(count: int, tokens: int) -> None:
    text = draw_map(_repository(count), tokens)
    assert len(text) <= tokens * 3
    assert "src/core.py: Engine" in text
    assert "README.md" in text
    if count > 1000:
        # What does not fit is at least counted.
        assert "more files, by folder:]" in text
        assert len(text) > tokens * 3 * 0.6
    if tokens == 200 and count > 100:
        assert "vendor/x/core.py" not in text


def test_a_hostile_file_is_read_in_time() -> None:
    started = time.process_time()
    for path in ("a.c", "a.java", "a.rs", "a.ts", "a.py", "a.php", "a.go"):
        for data in (
            b"a " * 12_000,
            b"pub " * 6000,
            b"\n" * 24_000,
            b"( " * 12_000,
            b"class " * 4000,
            b"f(" + b"x," * 12_000,
        ):
            outline(path, b"\n" + data)
    assert time.process_time() - started < 2
