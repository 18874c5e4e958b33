"""A label file and a score file change no cell in silence, and an error names the option of the command for it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from sklearn.dummy import DummyClassifier

from refit import Project
from refit.data.chunks import split_frame
from refit.errors import ContractViolation, LoadFailed
from refit.loads.csv_format import CsvFormat
from refit.results.score import EVERYTHING, ScoreRequest
from refit_tasks.ingestion.ingest import ingest
from refit_tasks.ingestion.label_join import join_labels
from refit_tasks.prediction.input_rows import choose_load
from refit_tasks.storage.delta import open_table, read

DAWN = datetime(2026, 4, 1, tzinfo=UTC)
CODES = ["NA", "null", "None", "nan", "007", "1e5"]


def shipments(**changes: Any) -> Project:
    frame = pd.DataFrame({"code": CODES, "at": [DAWN + timedelta(hours=n) for n in range(6)], "weight": 1.5, "y": None})
    known = {"kind": "classification", **changes}
    frame["y"] = pd.Series([None] * 6, dtype="str" if known["kind"] == "classification" else "float64")
    return Project(
        name="shipments", target="y", timestamp="at", key=("code",), build=DummyClassifier,
        load=lambda window: frame[window.holds(frame["at"])], expectations=list, **known,
    )  # fmt: skip


def stored(name: str = "y") -> dict[str, Any]:
    table = open_table("shipments")
    assert table is not None
    rows = pa.concat_tables(list(read(table)))
    return dict(zip(rows["code"].to_pylist(), rows[name].to_pylist(), strict=True))


def put(at: Path, text: str, encoding: str = "utf-8") -> Path:
    (at / "late.csv").write_text(text, encoding=encoding)
    return at / "late.csv"


@pytest.mark.parametrize("word", ["NA", "null", "None", "nan"])
def test_a_key_and_a_class_that_read_like_a_missing_word_are_joined(word: str, tmp_path: Path) -> None:
    ingest.fn(shipments(), DAWN + timedelta(days=1))
    done = join_labels(shipments(), put(tmp_path, f"code,y\n{word},{word}\n007,\n"))
    assert (done.arrived, done.empty) == (1, 1)
    assert stored()[word] == word


def test_a_word_that_the_user_names_is_no_label(tmp_path: Path) -> None:
    ingest.fn(shipments(), DAWN + timedelta(days=1))
    done = join_labels(shipments(), put(tmp_path, "code,y\n007,NA\n1e5,late\n"), CsvFormat(missing=("NA",)))
    assert (done.arrived, done.empty, stored()["007"], stored()["1e5"]) == (1, 1, None, "late")


@pytest.mark.parametrize(
    ("text", "encoding", "sentence", "form"),
    [
        ("code;y\n007;late\n", "utf-8", r"give --sep ';'", CsvFormat(sep=";")),
        ("code\ty\n007\tlate\n", "utf-8", r"give --sep '\\t'", CsvFormat(sep="\t")),
        ("code,y\n007,spät\n", "cp1252", "give --encoding 'cp1252'", CsvFormat(encoding="cp1252")),
        ("code,y\n007,spät\n", "utf-16", "give --encoding 'utf-16'", CsvFormat(encoding="utf-16")),
    ],
)
def test_another_form_of_a_label_file_names_the_option_that_mends_it(
    text: str, encoding: str, sentence: str, form: CsvFormat, tmp_path: Path
) -> None:
    ingest.fn(shipments(), DAWN + timedelta(days=1))
    file = put(tmp_path, text, encoding)
    with pytest.raises(LoadFailed, match=sentence):
        join_labels(shipments(), file)
    assert set(stored().values()) == {None}
    join_labels(shipments(), file, form)
    assert stored()["007"] in ("late", "spät")


@pytest.mark.parametrize(
    ("text", "sentence", "form", "label"),
    [
        ("code;y\n007;2,5\n", "give --decimal ','", CsvFormat(sep=";", decimal=","), 2.5),
        ("code;y\n007;-2\n1e5;-0,5\n", "give --decimal ','", CsvFormat(sep=";", decimal=","), -2),
        ("code;y\n007;NA\n", "give --missing 'NA'", CsvFormat(sep=";", missing=("NA",)), None),
    ],
)
def test_numbers_in_another_form_name_the_option_that_mends_them(
    text: str, sentence: str, form: CsvFormat, label: float | None, tmp_path: Path
) -> None:
    ingest.fn(shipments(kind="regression"), DAWN + timedelta(days=1))
    file = put(tmp_path, text)
    with pytest.raises(ContractViolation, match=sentence):
        join_labels(shipments(kind="regression"), file, CsvFormat(sep=";"))
    join_labels(shipments(kind="regression"), file, form)
    assert stored()["007"] == label


SCHEMA = pa.schema([("code", pa.string()), ("at", pa.timestamp("us", "UTC")), ("weight", pa.float64())])


def score_cells(file: Path, form: CsvFormat | None = None) -> dict[str, list[Any]]:
    load = choose_load(shipments(), ScoreRequest("file", str(file), EVERYTHING, DAWN, form), SCHEMA)
    rows = load(EVERYTHING)
    tables = [table for frame in rows for table in split_frame(frame, 100)]
    return pa.concat_tables(tables).to_pydict()


def test_a_score_file_keeps_words_and_leading_zeros(tmp_path: Path) -> None:
    file = put(tmp_path, "code,at,weight\n" + "".join(f"{code},2026-04-02,\n" for code in CODES))
    assert score_cells(file)["code"] == CODES


@pytest.mark.parametrize(
    ("text", "sentence", "form"),
    [
        ("code;at;weight\n007;2026-04-02;2.5\n", "give --sep ';'", CsvFormat(sep=";")),
        ('code,at,weight\n007,2026-04-02,"2,5"\n', "give --decimal ','", CsvFormat(decimal=",")),
        ("code,at,weight\n007,2026-04-02,2.5\n008,2026-04-02,NA\n", "give --missing 'NA'", CsvFormat(missing=("NA",))),
    ],
)
def test_another_form_of_a_score_file_names_the_option_that_mends_it(
    text: str, sentence: str, form: CsvFormat, tmp_path: Path
) -> None:
    file = put(tmp_path, text)
    with pytest.raises(LoadFailed, match=sentence):
        score_cells(file)
    assert score_cells(file, form)["weight"][0] == 2.5
    assert score_cells(file, form)["code"][0] == "007"
