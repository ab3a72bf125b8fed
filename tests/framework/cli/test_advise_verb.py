"""The verb `advise`: the best setting within limits, how sure that is, what would change it, what to paste."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from framework import plugins
from framework.cli.verbs import run_verb
from framework.contracts import Advice, Metric, MetricDefinition
from framework.errors import UserError
from framework.run_record import RunRecord
from framework.store.bundles.bundle import write_bundle
from framework.store.database.ingest import ingest
from framework.store.side_files.answers import write_advice

DEFINITIONS = {
    "speed": MetricDefinition("speed", "1/s", "", "higher"),
    "delay_ms": MetricDefinition("delay_ms", "ms", "", "lower"),
}
# workload, model, batch, gpus → (speed, delay)
RUNS = {
    ("chat", "small", 1, None): (10.0, 10.0),
    ("chat", "small", 8, None): (60.0, 30.0),
    ("chat", "small", 16, None): (80.0, 49.5),
    ("chat", "small", 32, None): (81.0, 49.0),
    ("chat", "small", 64, 2): (130.0, 60.0),
    ("batch", "small", 64, None): (900.0, 5.0),  # another workload: no answer for `chat`
}


# several models, of which one can't keep a delay of 50
MODELS = {
    ("chat", "small", 1, None): (10.0, 10.0),
    ("chat", "small", 2, None): (19.0, 12.0),
    ("chat", "small", 4, None): (36.0, 14.0),
    ("chat", "large", 1, None): (5.0, 30.0),
    ("chat", "large", 2, None): (4.0, 32.0),
    ("chat", "huge", 1, None): (2.0, 70.0),
    ("chat", "huge", 2, None): (3.0, 80.0),
}


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return store_of(tmp_path_factory.mktemp("outputs"), RUNS)


def store_of(folder: Path, runs: Mapping[tuple[str, str, int, int | None], tuple[float, float]]) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("framework.store.views.macros.metric_definitions", lambda: DEFINITIONS)
        for (workload, model, batch, gpus), values in runs.items():
            name = f"{workload}-{batch}" if model == "small" else f"{workload}-{model}-{batch}"
            config = {
                "model": {"name": model, "hf_id": f"org/{model}"},
                "backend": {"name": "toy", "max_num_seqs": batch, "gpus": gpus, "replicas": 1},
                "workload": {"name": workload},
            }
            record = RunRecord(
                name, name, workload, "toy", "done", "2026-01-01T00:00:00+00:00",
                metrics=tuple(map(Metric, DEFINITIONS, values)), config=config,
            )  # fmt: skip
            write_bundle(folder, record, {})
        said = Advice(
            "bca", "small", {"backend.max_num_seqs": 8, "workload.ranks": [8, 16]}, "speed", 60.0, 58.0, 62.0,
            "large", ["chat-8"], {"beats": "B=1 by 83.3 %", "changes": ["a limit", "another"]},
        )  # fmt: skip
        write_advice(folder, [said], "chat", None)
        ingest(folder)
    return folder


def advise(outputs: Path, capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    assert run_verb(["advise", *words, "--outputs", str(outputs)]) == 0
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def test_the_answer_comes_first_then_its_band_its_margin_and_its_doubts(
    outputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--maximise", "speed", "--slo", "delay_ms=50", "--from", "chat"]
    lines = advise(outputs, capsys, *words)
    assert (
        lines[0] == "chat: use max_num_seqs=32, gpus=null"
        or lines[0] == "chat: use gpus=null, max_num_seqs=32"
    )
    assert lines[1].startswith("gives speed 81 1/s (77.76 to 84.24; 1 run, band from noise floor")
    assert "keeps delay_ms ≤ 50 with 49 (47.04 to 50.96)" in lines[2]
    assert lines[2].endswith("may be missed")
    assert lines[3].startswith("beats 3 other settings, the next (max_num_seqs=16) by 1.2 % (-4")
    assert lines[3].endswith("1 setting outside the limits")
    assert lines[4].startswith("sure 1 other setting as good within the noise")
    assert any("a limit delay_ms ≤ 60 would allow" in line and "+60.5 %" in line for line in lines)
    assert any("below 49 rules this out: then max_num_seqs=8" in line for line in lines)
    assert any(line.startswith("run it python -m framework") and "max_num_seqs=32" in line for line in lines)


def test_each_workload_and_each_value_asked_for_has_its_answer(
    outputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = advise(outputs, capsys, "--maximise", "speed", "--by", "model")
    assert [line.partition(":")[0] for line in lines if ": use" in line] == ["small, batch", "small, chat"]
    mixed = advise(outputs, capsys, "--maximise", "speed", "--mix-workloads")
    assert next(line for line in mixed if "use " in line).startswith("use")
    assert any("gives speed 900" in line for line in mixed)


@pytest.mark.slow
def test_a_model_is_given_unless_it_is_asked_to_be_chosen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs, question = store_of(tmp_path, MODELS), ["--maximise", "speed", "--slo", "delay_ms=50"]
    lines = advise(outputs, capsys, *question)
    assert [line for line in lines if ": use" in line] == [
        "large, chat: use max_num_seqs=1",
        "small, chat: use max_num_seqs=4",
    ]
    assert (
        "no answer for huge, chat: no setting keeps all limits (2 tried): delay_ms ≤ 50 (best: 70)" in lines
    )
    assert not any("is the smallest" in line for line in lines)  # there is no batch below 1
    mixed = advise(outputs, capsys, *question, "--mix-models")
    assert [line for line in mixed if ": use" in line] == ["chat: use model=small, max_num_seqs=4"]


def test_the_objective_can_be_counted_for_each_gpu(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = advise(outputs, capsys, "--maximise", "speed", "--per", "gpu", "--from", "chat")
    assert lines[1].startswith("gives speed per gpu 81 ")  # 130 on two


def test_the_smallest_wins_where_less_is_asked_for(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = advise(outputs, capsys, "--minimise", "delay_ms", "--from", "chat", "--slo", "speed=50")
    assert "gives delay_ms 30 ms" in lines[1]
    assert "by 38.8 %" in lines[3]  # 1 - 30 / 49


def test_a_plugin_says_the_engines_own_command(
    outputs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(hook: str, kind: type, **given: object) -> list[tuple[str, list[str]]]:
        config = given["config"]
        assert isinstance(config, dict)
        return (
            [("toy", [f"toy-engine {config['backend']['max_num_seqs']}"])]
            if hook == "engine_commands"
            else []
        )

    monkeypatch.setattr(plugins, "ask", ask)
    from framework.cli.answers.advice_text import show_advice, show_answer

    show_answer("speed:higher", [], None, [], ["chat"], outputs)
    assert "engine  toy-engine 64" in capsys.readouterr().out
    show_advice(["chat"], outputs, must=True)  # of what an advisor recommends, too
    assert "engine  toy-engine 8\n" in capsys.readouterr().out


def test_without_an_objective_the_advisors_answer(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert advise(outputs, capsys)[:7] == [
        "small (bca): use backend.max_num_seqs=8 'workload.ranks=[8, 16]'",  # a shell takes it as one word
        "gives speed 60 (58 to 62)",
        "beats B=1 by 83.3 %",
        "changes a limit",
        "changes another",
        "why large",
        "run it python -m framework experiment=chat backend.max_num_seqs=8 'workload.ranks=[8, 16]'",
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--maximise", "speed", "--minimise", "delay_ms"], "not both"),
        (["--slo", "delay_ms=5"], "which metric"),
        (
            ["--maximise", "speed", "--slo", "delay_ms=1"],
            r"no setting keeps all limits \(6 tried\): .* \(best: 5\)",
        ),
        (["--maximise", "sped"], "did you mean 'speed'"),
        (["--maximise", "speed", "--per", "rack"], "no run has a parameter 'racks'"),
        (["--from", "batch"], "no advisor has spoken"),
    ],
)
def test_what_cannot_be_answered_is_one_line(outputs: Path, words: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        run_verb(["advise", *words, "--outputs", str(outputs)])
