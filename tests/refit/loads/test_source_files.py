"""Files of a ready-made load are one table: no column, type or cell changes because of how a file was written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from refit import Project, Window
from refit.data.chunks import split_frame
from refit.data.schema import unify_schemas
from refit.errors import LoadFailed, ProjectError
from refit.sources import Load, csv, parquet

MAY = Window(datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC))
HARBOUR = Project(
    name="harbour",
    kind="regression",
    target="tonnes",
    timestamp="at",
    load=lambda _: pd.DataFrame(),
    build=lambda: None,
)


def tables(load: Load) -> list[pa.Table]:
    return [table for frame in load(MAY) for table in split_frame(frame, 1000)]


def cells(load: Load, column: str) -> list[Any]:
    return [cell for table in tables(load) for cell in table[column].to_pylist()]


def stored_type(load: Load, column: str) -> pa.DataType:
    return unify_schemas([table.schema for table in tables(load)], HARBOUR).field(column).type


def quay(at: Path, text: str, name: str = "quay.csv", encoding: str = "utf-8") -> Path:
    (at / name).write_text(text, encoding=encoding)
    return at / name


def rows(**columns: list[Any]) -> dict[str, list[Any]]:
    count = len(next(iter(columns.values())))
    times = [datetime(2026, 5, day + 1, tzinfo=UTC) for day in range(count)]
    return {"at": times, "tonnes": [1.0] * count, **columns}


def put(at: Path, name: str, **columns: Any) -> Path:
    at.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(rows(**columns)), at / name)
    return at / name


WORDS = ["NA", "null", "None", "nan", "NaN", "N/A", "NULL", "n/a"]


@pytest.mark.parametrize("word", WORDS)
def test_a_word_is_text_in_a_csv_and_only_an_empty_cell_is_missing(word: str, tmp_path: Path) -> None:
    file = quay(tmp_path, f"at,flag,tonnes\n2026-05-02,{word},4\n2026-05-03,GB,\n2026-05-04,,6\n")
    assert cells(csv(file, "at"), "flag") == [word, "GB", None]
    assert cells(csv(file, "at"), "tonnes") == [4, None, 6]


@pytest.mark.parametrize("given", ["NA", ["NA"], {"flag": "NA"}, {"flag": ["NA", "-"]}])
def test_a_word_that_the_user_names_is_missing_beside_the_empty_cell(given: Any, tmp_path: Path) -> None:
    file = quay(tmp_path, "at,flag,tonnes\n2026-05-02,NA,4\n2026-05-03,null,\n2026-05-04,,6\n")
    assert cells(csv(file, "at", na_values=given), "flag") == [None, "null", None]
    assert cells(csv(file, "at", na_values=given), "tonnes") == [4, None, 6]


def test_pandas_own_words_are_back_when_they_are_asked_for(tmp_path: Path) -> None:
    file = quay(tmp_path, "at,flag\n2026-05-02,NA\n2026-05-03,GB\n")
    assert cells(csv(file, "at", keep_default_na=True), "flag") == [None, "GB"]


@pytest.mark.parametrize("word", [*WORDS, "?", "-"])
def test_a_word_among_numbers_is_asked_about(word: str, tmp_path: Path) -> None:
    file = quay(tmp_path, f"at,draught\n2026-05-02,7.5\n2026-05-03,{word}\n2026-05-04,8\n")
    with pytest.raises(LoadFailed) as raised:
        tables(csv(file, "at"))
    sentence = str(raised.value)
    assert f"quay.csv has {word!r} in column 'draught'" in sentence
    assert f"na_values={{'draught': ['{word}']}}" in sentence
    assert "dtypes={'draught': 'str'}" in sentence
    assert cells(csv(file, "at", na_values={"draught": [word]}), "draught") == [7.5, None, 8]
    assert cells(csv(file, "at", dtypes={"draught": "str"}), "draught") == ["7.5", word, "8"]


@pytest.mark.parametrize(
    ("text", "options", "fixes"),
    [
        ("at;draught\n2026-05-02;7,5\n2026-05-03;8\n", {"sep": ";"}, {"decimal": ","}),
        ("at;draught\n2026-05-02;1.007,5\n2026-05-03;8\n", {"sep": ";"}, {"decimal": ",", "thousands": "."}),
        ("at;draught\n2026-05-02;1.007,5\n2026-05-03;8\n", {"sep": ";", "decimal": ","}, {"thousands": "."}),
        ("at;draught\n2026-05-02;7.5\n2026-05-03;8\n", {"sep": ";", "decimal": ","}, {"decimal": "."}),
        ('at,draught\n2026-05-02,"1,007.5"\n2026-05-03,8\n', {}, {"thousands": ","}),
        ("at;draught\n2026-05-02;7\n2026-05-03;8\n", {}, {"sep": ";"}),
        ("at;draught\n2026-05-02;7,5\n2026-05-03;8,5\n", {}, {"sep": ";"}),
        ('"draught"\t"at"\n7\t2026-05-02\n', {}, {"sep": "\t"}),
        ("draught|at\n7|2026-05-02\n", {"sep": ";"}, {"sep": "|"}),
    ],
)
def test_numbers_and_columns_in_another_form_name_their_option_and_it_mends_the_file(
    text: str, options: Mapping[str, Any], fixes: Mapping[str, str], tmp_path: Path
) -> None:
    file = quay(tmp_path, text)
    with pytest.raises(LoadFailed) as raised:
        tables(csv(file, "at", **options))
    for name, value in fixes.items():
        assert f"set {name}={value!r}" in str(raised.value)
    mended = {**options, **fixes}
    if "decimal" not in mended and ",5" in text and mended.get("sep") == ";":
        mended["decimal"] = ","
    assert all(isinstance(cell, int | float) for cell in cells(csv(file, "at", **mended), "draught"))


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16"])
def test_another_encoding_is_named_and_mends_the_file(encoding: str, tmp_path: Path) -> None:
    file = quay(tmp_path, "at,port\n2026-05-02,Köln\n", encoding=encoding)
    with pytest.raises(LoadFailed, match=f"set encoding='{encoding}'"):
        tables(csv(file, "at"))
    assert cells(csv(file, "at", encoding=encoding), "port") == ["Köln"]


@pytest.mark.parametrize("text", ["3,5,7", "A7", "7,5 m", "quay 4"])
def test_text_that_only_looks_like_numbers_in_part_is_left_alone(text: str, tmp_path: Path) -> None:
    file = quay(tmp_path, f'at,berth\n2026-05-02,"{text}"\n2026-05-03,"7,5"\n2026-05-04,NA\n')
    assert cells(csv(file, "at"), "berth") == [text, "7,5", "NA"]


@pytest.mark.parametrize("order", list(permutations(["at,code\n2026-05-02,10115\n", "at,code\n2026-05-03,01067\n"])))
def test_leading_zeros_keep_a_column_text_in_all_files(order: tuple[str, ...], tmp_path: Path) -> None:
    for number, text in enumerate(order):
        quay(tmp_path, text, f"{number}.csv")
    assert sorted(cells(csv(tmp_path / "*.csv", "at"), "code")) == ["01067", "10115"]
    assert sorted(cells(csv(tmp_path / "*.csv", "at", dtypes={"code": "int64"}), "code")) == [1067, 10115]


def test_a_zero_before_a_point_or_alone_is_no_leading_zero(tmp_path: Path) -> None:
    file = quay(tmp_path, "at,a,b\n2026-05-02,0,0.5\n2026-05-03,10,-0.25\n")
    assert cells(csv(file, "at"), "a") == [0, 10]
    assert cells(csv(file, "at"), "b") == [0.5, -0.25]


def test_the_index_that_pandas_wrote_is_no_column(tmp_path: Path) -> None:
    frame = pd.DataFrame(rows(draught=[7, 8, 9])).loc[[0, 2]]
    frame.to_csv(tmp_path / "quay.csv")
    frame.to_parquet(tmp_path / "quay.parquet")
    frame.set_index(["draught"], append=True).to_parquet(tmp_path / "two.parquet")
    for load in (csv(tmp_path / "quay.csv", "at"), parquet(tmp_path / "*.parquet", "at")):
        for table in tables(load):
            assert sorted(table.column_names) == ["at", "draught", "tonnes"]
            assert table["draught"].to_pylist() == [7, 9]


def test_a_first_column_without_a_name_that_holds_no_numbers_stays(tmp_path: Path) -> None:
    file = quay(tmp_path, ",at\nNA,2026-05-02\n")
    assert cells(csv(file, "at"), "Unnamed: 0") == ["NA"]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_hive_folders_are_columns(suffix: str, tmp_path: Path) -> None:
    for port, year in (("Köln", 2025), ("São%20Tomé", 2026), ("NA", 2026)):
        place = tmp_path / f"port={port}" / f"year={year}"
        file = put(place, "quay.parquet", draught=[7])
        pd.read_parquet(file).to_csv(file.with_suffix(".csv"), index=False)
    load = {"csv": csv, "parquet": parquet}[suffix](tmp_path / "**" / f"*.{suffix}", "at")
    assert sorted(cells(load, "port")) == ["Köln", "NA", "São Tomé"]
    assert sorted(cells(load, "year")) == [2025, 2026, 2026]
    assert stored_type(load, "year") == pa.int64()


def test_hive_folders_keep_leading_zeros_and_a_column_of_the_file_itself(tmp_path: Path) -> None:
    put(tmp_path / "month=05" / "draught=1", "a.parquet", draught=[7])
    put(tmp_path / "month=11" / "draught=__HIVE_DEFAULT_PARTITION__", "b.parquet", draught=[8])
    load = parquet(tmp_path / "**" / "*.parquet", "at")
    assert cells(load, "month") == ["05", "11"]
    assert cells(load, "draught") == [7, 8]


def test_a_hive_folder_without_a_value_is_missing(tmp_path: Path) -> None:
    put(tmp_path / "pier=__HIVE_DEFAULT_PARTITION__", "a.parquet", draught=[7])
    put(tmp_path / "pier=12", "b.parquet", draught=[8])
    load = parquet(tmp_path / "**" / "*.parquet", "at")
    assert sorted(cells(load, "pier"), key=str) == [12, None]
    assert stored_type(load, "pier") == pa.int64()


PARTS: dict[str, tuple[Callable[[], Any], ...]] = {
    "whole, then not": (lambda: pa.array([1, 2]), lambda: pa.array([2.5, 3.0]), lambda: pa.nulls(2)),
    "nothing, then text": (lambda: pa.nulls(2), lambda: pa.array(["NA", "x"]), lambda: pa.array([None, "y"])),
    "widths": (lambda: pa.array([1, 2], pa.int8()), lambda: pa.array([1, 300], pa.int16()), lambda: pa.nulls(2)),
    "beyond doubles": (lambda: pa.array([2**53 + 1, 2]), lambda: pa.array([2.5, 3.0]), lambda: pa.nulls(2)),
}


@pytest.mark.parametrize("parts", PARTS.values(), ids=PARTS.keys())
def test_parquet_files_are_one_table_whatever_their_order(parts: tuple[Callable[[], Any], ...], tmp_path: Path) -> None:
    seen = set()
    for turn, order in enumerate(permutations(parts)):
        for number, part in enumerate(order):
            put(tmp_path / str(turn), f"{number}.parquet", pier=part())
        load = parquet(tmp_path / str(turn) / "*.parquet", "at")
        seen.add((str(stored_type(load, "pier")), str(sorted(cells(load, "pier"), key=str))))
    assert len(seen) == 1


def test_no_digit_is_lost_to_a_file_with_decimal_places(tmp_path: Path) -> None:
    put(tmp_path, "a.parquet", pier=[2**53 + 1])
    put(tmp_path, "b.parquet", pier=[0.5])
    assert cells(parquet(tmp_path / "*.parquet", "at"), "pier") == [2**53 + 1, 0.5]


@pytest.mark.parametrize("order", list(permutations(["", "bulk", "NA"])))
def test_csv_files_are_one_table_whatever_their_order(order: tuple[str, ...], tmp_path: Path) -> None:
    for number, cargo in enumerate(order):
        quay(
            tmp_path, f"at,tonnes,cargo\n2026-05-02,{number},{cargo}\n2026-05-03,{number}.5,{cargo}\n", f"{number}.csv"
        )
    load = csv(tmp_path / "*.csv", "at")
    assert stored_type(load, "cargo") == pa.string()
    assert stored_type(load, "tonnes") == pa.float64()
    assert sorted(cells(load, "cargo"), key=str) == ["NA", "NA", None, None, "bulk", "bulk"]


def test_a_column_that_appears_twice_in_a_csv_is_refused(tmp_path: Path) -> None:
    file = quay(tmp_path, "at,pier,pier\n2026-05-02,1,2\n")
    with pytest.raises(LoadFailed, match=r"quay\.csv has 2 columns named 'pier'"):
        tables(csv(file, "at"))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"seperator": ";"}, "no option 'seperator'"),
        ({"decimals": ","}, "did you mean 'decimal'"),
        ({"dtype": "str"}, "use dtypes"),
    ],
)
def test_a_misspelt_option_is_found_when_the_project_file_is_read(options: Mapping[str, Any], sentence: str) -> None:
    with pytest.raises(ProjectError, match=sentence):
        csv("quay.csv", "at", **options)


@pytest.mark.parametrize("suffix", ["csv", "csv.gz"])
def test_pieces_of_any_size_give_the_same_cells(suffix: str, tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    frame = pd.DataFrame(rows(code=[f"{n:04d}" for n in draw.integers(0, 9999, 20)], flag=["NA", "", "x", "None"] * 5))
    frame.to_csv(tmp_path / f"quay.{suffix}", index=False)
    found = [
        {name: cells(csv(tmp_path / f"quay.{suffix}", "at", piece_rows=size), name) for name in ("code", "flag")}
        for size in (1, 7, 1000)
    ]
    assert found[0] == found[1] == found[2]
    assert found[0]["code"] == list(frame["code"])
