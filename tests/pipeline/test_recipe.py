from pathlib import Path

import pytest

from algok.errors import RecipeError
from algok.pipeline.recipe import load_recipe, parse_recipe, policies_of

BASE = Path("/base")
GOOD = """
name = "x"
[[sources]]
name = "crawl"
paths = ["in/*.warc.gz", "s3://bucket/a.warc.gz"]
"""


def parse(text: str):
    return parse_recipe(text, where="r.toml", base=BASE)


def test_input_paths_are_relative_to_the_recipe() -> None:
    assert parse(GOOD).sources[0].paths == ["/base/in/*.warc.gz", "s3://bucket/a.warc.gz"]
    found = parse(GOOD + "[tokenizer.words]\nko = 'ko.tsv'\nen = 'wordfreq'").tokenizer.words
    assert found == {"ko": "/base/ko.tsv", "en": "wordfreq"}


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("[dedup]\nlocalpairs = 8", r"r\.toml: unknown key dedup\.localpairs; did you mean local_pairs\?"),
        ("[mxi]\ntokens = 1", r"unknown key mxi; did you mean mix\?"),
        ("[extract.pages]\ntime_limit = 3", r"unknown key extract\.pages\.time_limit; did you mean time_limit_s"),
        ("[pack]\nshard_mb = 'big'", r"pack\.shard_mb: expected `float`, got `str`"),
        ("[pack]\nshard_mb = 0", r"pack\.shard_mb: expected `float` > 0"),
        ("[mix]\nshares = {ko = 0.5}", r"mix: `shares` sum to 0\.5, not 1"),
        ("[mix]\nrehydrate = [[2, 1.0]]", r"mix: `rehydrate` needs increasing cluster sizes that start at 1"),
        ("[filter]\npolicies = ['fineweb2-kor_Hangul']", r"no built-in policy .*fineweb2-kor_Hang"),
        ("[[filter.policy]]\nname='a'\nlanguages=['ko']\nrules=[{signal='word', min=1}]", r"'word' is no signal"),
        ("[extract.pages]\nengine = 'x'", r"r\.toml: .*engine"),
        ("x = ", r"r\.toml: not valid TOML"),
    ],
)
def test_a_wrong_key_is_named(extra: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        parse(GOOD + extra)


def test_rates_without_a_default_change_those_of_their_languages_only() -> None:
    defaults = parse(GOOD).mix.tokens_per_byte
    assert parse(GOOD + "[mix.tokens_per_byte]\nko = 0.2").mix.tokens_per_byte == {**defaults, "ko": 0.2}
    given = {"ko": 0.2, "default": 0.3}
    assert parse(GOOD + "[mix.tokens_per_byte]\nko = 0.2\ndefault = 0.3").mix.tokens_per_byte == given


def test_a_source_in_a_list_is_named_by_its_place() -> None:
    with pytest.raises(RecipeError, match=r"unknown key sources\[0\]\.path; did you mean paths\?"):
        parse('name="x"\n[[sources]]\nname="a"\npath="b"')


def test_sources_need_files_and_different_names() -> None:
    with pytest.raises(RecipeError, match=r"sources\[0\]: source 'a' names no files"):
        parse('name="x"\n[[sources]]\nname="a"')
    with pytest.raises(RecipeError, match="source names must differ; twice: crawl"):
        parse(GOOD + '[[sources]]\nname="crawl"\npaths=["b"]')
    with pytest.raises(RecipeError, match="`sources` is empty"):
        parse('name="x"\nsources=[]')


def test_a_missing_recipe_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"cannot read the recipe .*gone\.toml: No such file"):
        load_recipe(tmp_path / "gone.toml")


def test_own_policies_come_before_the_built_in_ones() -> None:
    recipe = parse(GOOD + "[[filter.policy]]\nname='mine'\nlanguages=['ko']\nrules=[{signal='words', min=5}]")
    assert policies_of(recipe).policies[0].name == "mine"


@pytest.mark.parametrize("path", sorted(Path(__file__).parents[2].glob("recipes/*.toml")), ids=lambda p: p.name)
def test_shipped_recipes_are_valid(path: Path) -> None:
    assert load_recipe(path).sources
