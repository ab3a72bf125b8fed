"""Traces of texts (ShareGPT, prompts of `vllm bench`): tokens counted with the model's own tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.errors import ConfigError, InputError, UserError
from framework_serving.workloads.settings import TraceSettings

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    FloatArray = npt.NDArray[np.float64]


class TextLengths:
    """Counts tokens of prompts and answers.

    A conversation's first two turns are prompt and answer, as in the load generators that use it.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    @classmethod
    def of(cls, settings: TraceSettings) -> TextLengths:
        """Return a counter with the tokenizer that the settings name.

        Raises:
            ConfigError: no tokenizer is named.
            InputError: its file can't be read.
            UserError: the library that reads it is not installed.
        """
        if settings.tokenizer is None:
            raise ConfigError(
                "workload.tokenizer: the trace consists of texts: name the model's tokenizer.json, or give columns "
                "with token counts (workload.columns.input, workload.columns.output)"
            )
        file = Path(settings.tokenizer)
        file = file / "tokenizer.json" if file.is_dir() else file
        if not file.is_file():
            raise InputError(f"workload.tokenizer: no such file '{file}'")
        try:
            from tokenizers import Tokenizer
        except ImportError:
            raise UserError(
                "workload.tokenizer: tokenizers is not installed: pip install 'framework-lab[traces]'"
            ) from None
        try:
            return cls(Tokenizer.from_file(str(file)))
        except Exception as error:  # the library raises plain Exception
            raise InputError(f"workload.tokenizer: {file} is not a tokenizer: {error}") from error

    def check(self, record: Any) -> None:
        """Raise `ValueError` for a record without a prompt and an answer, or a number of tokens for it."""
        prompt, answer = _parts(record)
        if not prompt:
            raise ValueError("the prompt is empty")
        if isinstance(answer, str) and not self._count([answer], False)[0]:
            raise ValueError("the answer is empty")

    def lengths(self, records: list[Any]) -> list[FloatArray]:
        """Return tokens of prompts and of answers."""
        import numpy as np

        parts = [_parts(record) for record in records]
        inputs = self._count([prompt for prompt, _ in parts], True)
        texts = [answer for _, answer in parts if isinstance(answer, str)]
        counted = iter(self._count(texts, False))
        outputs = [next(counted) if isinstance(answer, str) else answer for _, answer in parts]
        return [np.array(inputs, dtype=float), np.array(outputs, dtype=float)]

    def _count(self, texts: list[str], special: bool) -> list[int]:
        encoded = self._tokenizer.encode_batch(texts, add_special_tokens=special)
        return [len(item.ids) for item in encoded]


def _parts(record: Any) -> tuple[str, str | int]:
    """Return prompt and answer (or its tokens) of a record. Raises `ValueError`."""
    if not isinstance(record, dict):
        raise ValueError("not a JSON object")
    if "conversations" in record:
        turns = record["conversations"]
        if (
            not isinstance(turns, list)
            or len(turns) < 2
            or not all(isinstance(turn, dict) for turn in turns[:2])
        ):
            raise ValueError("a conversation of less than two turns")
        prompt, answer = turns[0].get("value"), turns[1].get("value")
    else:
        prompt, answer = record.get("prompt"), record.get("output_tokens")
    if (
        isinstance(answer, bool)
        or not isinstance(prompt, str)
        or not isinstance(answer, str | int)
        or answer == ""
    ):
        raise ValueError("no prompt with an answer or a number of tokens for it")
    if isinstance(answer, int) and answer < 1:
        raise ValueError(f"column 'output_tokens' must be a whole number of tokens from 1, got {answer}")
    return prompt, answer
