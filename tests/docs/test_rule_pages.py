"""Every rule has its page, and the index leads to it."""

import re
from pathlib import Path

import pytest

from inspect_autograd.diagnosis.program_rule import ProgramRule
from inspect_autograd.diagnosis.program_rules import PROGRAM_RULES
from inspect_autograd.diagnosis.rule import Rule
from inspect_autograd.diagnosis.rules import RULES

PAGES = Path(__file__).parents[2] / "docs" / "rules"
SLUGS = [rule.slug for rule in RULES]
PROGRAM_SLUGS = [rule.slug for rule in PROGRAM_RULES]
INDEX = (PAGES / "index.md").read_text(encoding="utf-8")
LINKS = re.findall(r"\[([\w-]+)\]\(([\w-]+)\.md\)", INDEX)


def page(slug: str) -> str:
    return (PAGES / f"{slug}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("slug", SLUGS)
def test_a_rule_has_its_page(slug: str) -> None:
    text = page(slug)
    assert text.startswith("# ")
    assert slug in text
    assert "```python" in text, "no example that is run"


@pytest.mark.parametrize("slug", [*dict.fromkeys([*SLUGS, *PROGRAM_SLUGS])])
def test_the_index_leads_to_the_page(slug: str) -> None:
    assert LINKS.count((slug, slug)) == 1


def test_every_page_is_in_the_index() -> None:
    pages = {path.stem for path in PAGES.glob("*.md")} - {"index"}
    assert pages - {target for _, target in LINKS} == set()


def test_the_index_leads_to_nothing_else() -> None:
    assert [target for _, target in LINKS if not (PAGES / f"{target}.md").exists()] == []


@pytest.mark.parametrize("rules", [RULES, PROGRAM_RULES], ids=["errors", "programs"])
def test_slugs_are_unique_and_in_kebab_case(rules: tuple[Rule | ProgramRule, ...]) -> None:
    slugs = [rule.slug for rule in rules]
    assert len({*slugs}) == len(slugs)
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", slug) for slug in slugs)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.slug)
def test_a_rule_stands_in_a_file_of_its_name(rule: Rule) -> None:
    file = PAGES.parents[1] / "inspect_autograd" / "diagnosis" / "rules"
    assert (file / f"{rule.slug.replace('-', '_')}.py").exists()
