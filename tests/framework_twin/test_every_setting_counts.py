"""Every key of the twin and of the serving workloads changes a result of a run that shows it, or is refused.

The tables are checked against the settings' dataclasses: a key without a case fails. A case is a base of overrides,
and what is changed; both are composed and executed as a command does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from omegaconf import open_dict

from framework.configuration.composition import compose
from framework.configuration.group_options import group_option
from framework.configuration.search_path import group_files
from framework.errors import UserError
from framework.run.runner import execute
from framework_serving.workloads.settings import AdapterMixSettings, SyntheticSettings, TraceSettings
from framework_twin.settings import TwinSettings
from tests.framework_twin.setting_cases import (
    ADAPTERS,
    BINS,
    DESCRIBED,
    HOST,
    MIX,
    REFUSED,
    SYNTHETIC,
    TRACED,
    TWIN,
)
from tests.support.settings_keys import leaves


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Small traces, by the word that stands for them in a case; and a folder with a profile of the user's own."""
    from framework_twin.physics.profile import PROFILE_FOLDER

    folder = tmp_path_factory.mktemp("inputs")
    head = "arrival_s,input_tokens,output_tokens,later_s,adapter\n"
    rows = [f"{place},{100 + place},{20 + place},{2 * place + 1},{place % 2}\n" for place in range(5)]
    texts = {
        "PLAIN": head + "".join(rows),
        "OTHER": head + "".join(rows[:4]),
        "UNSORTED": head + rows[1] + rows[0] + rows[2],
        "BROKEN": head + rows[0] + "1,many,3,1,0\n" + rows[2],
        "ADAPTED": head + "".join(rows),
    }
    turns = [f"0,{100 + place},20,{place},{place - 1}\n" for place in range(3)]
    texts["TURNS"] = "arrival_s,input_tokens,output_tokens,turn,parent\n" + "".join(turns)
    found = {}
    for word, text in texts.items():
        (folder / f"{word}.csv").write_text(text)
        found[word] = str(folder / f"{word}.csv")
    equal = {"input_tokens": 1024, "output_tokens": 4, "hash_ids": [1, 2]}
    lines = [json.dumps({"arrival_s": 3 * place, **equal}) for place in range(3)]
    (folder / "hashed.jsonl").write_text("\n".join(lines))
    found["HASHED"] = str(folder / "hashed.jsonl")
    (folder / "prompts.jsonl").write_text('{"prompt": "say hi", "output_tokens": 3}\n')
    found["PROMPTS"] = str(folder / "prompts.jsonl")
    words_only = tokenizers.models.WordLevel({"[UNK]": 0}, unk_token="[UNK]")
    tokenizers.Tokenizer(words_only).save(str(folder / "tokenizer.json"))
    found["TOKENIZER"] = str(folder / "tokenizer.json")
    profiles = folder / "profiles"
    profiles.mkdir()
    shipped = (PROFILE_FOLDER / "llama-3.1-8b_h100-64gb_v1.yaml").read_text()
    slower = re.sub(r"(\bhost_s: )\S+", r"\g<1>0.01", shipped, count=1)
    assert slower != shipped
    (profiles / "own.yaml").write_text(slower)
    found["PROFILES"] = str(profiles)
    histogram = f"workload.lengths.kind=histogram workload.lengths.input_histogram={BINS}"
    plain = "workload.lengths.input_tokens=null workload.lengths.output_tokens=null"
    both = f"{histogram} {plain} workload.lengths.output_histogram={BINS}"
    limits = (
        "workload.lengths.input_max=null workload.lengths.output_max=null workload.lengths.total_max=null"
    )
    found["HISTOGRAM MIX"] = f"{ADAPTERS} {both} {limits} workload.lengths.input_min=1"
    found["HISTOGRAM"] = f"{HOST} workload=fixed workload.num_requests=40 {both}"
    return found


def words(text: str, files: Mapping[str, str]) -> list[str]:
    """Return the overrides of a case, with the files' words replaced."""
    text = files.get(text, text)
    found = []
    for word in text.split():
        key, _, value = word.partition("=")
        found.append(f"{key}={files.get(value, value)}")
    return found


def outcome(overrides: list[str], folder: Path) -> dict[str, Any]:
    """Compose and execute one run; return what came out: metrics, the workload, names, tables.

    Facts are left out: they repeat the settings, so that a setting without effect would show in them.
    """
    config = compose(overrides)
    with open_dict(config):
        config.outputs_dir, config.resume = str(folder), False
    done = execute(config)
    if done.failure is not None:
        raise AssertionError(done.failure.message)
    bundle = folder / "runs" / done.run_id
    record = json.loads((bundle / "run.json").read_text())["record"]
    return {
        **done.metrics,
        "workload": record["workload_hash"],
        "workload name": record["config"]["workload"]["name"],
        "backend": record["backend"],
        "tables": sorted(file.name for file in bundle.iterdir()),
    }


TABLES = {
    "twin": (TwinSettings, TWIN),
    "synthetic": (SyntheticSettings, SYNTHETIC),
    "adapters": (AdapterMixSettings, MIX),
    "trace": (TraceSettings, TRACED),
}
ALL_CASES = {table: cases for table, (_, cases) in TABLES.items()} | {"described": DESCRIBED}


@pytest.mark.parametrize("table", TABLES)
def test_every_key_has_a_case(table: str) -> None:
    kind, cases = TABLES[table]
    assert set(leaves(kind)) == set(cases)


@pytest.mark.parametrize("key", DESCRIBED)
def test_every_option_takes_the_keys_that_go_with_all_of_them(key: str) -> None:
    group, name = key.split(".")
    without = [option for option in group_files(group) if name not in group_option(group, option)]
    assert without == (["none"] if group == "gpu" else [])


CASES = [(table, key) for table, cases in ALL_CASES.items() for key in cases]
_seen: dict[str, dict[str, Any]] = {}


@pytest.mark.slow  # a hundred whole runs
@pytest.mark.parametrize(("table", "key"), CASES, ids=[f"{table}.{key}" for table, key in CASES])
def test_a_key_changes_a_result_or_is_refused(
    table: str, key: str, files: dict[str, str], tmp_path: Path
) -> None:
    base, change = ALL_CASES[table][key]
    before = _seen.get(base) or _seen.setdefault(base, outcome(words(base, files), tmp_path / "before"))
    if change.startswith(REFUSED):
        with pytest.raises(UserError, match=r"workload|JSON|number|order|row|experts|gpu\.count"):
            outcome([*words(base, files), *words(change.removeprefix(REFUSED), files)], tmp_path / "after")
        return
    after = outcome([*words(base, files), *words(change, files)], tmp_path / "after")
    assert {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
