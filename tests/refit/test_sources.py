"""Every ready-made load keeps the same promises, and says in one sentence what is wrong with a source."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy
from deltalake import write_deltalake

from refit import Window
from refit.errors import LoadFailed
from refit.sources import Load, csv, delta, parquet, sql

DAY = datetime(2026, 3, 10, tzinfo=UTC)
WINDOW = Window(DAY, DAY + timedelta(days=1))
TIMES = pd.to_datetime(
    ["2026-03-09T23:59:59.999999", "2026-03-10", "2026-03-10T12:00", None, "2026-03-10T23:59:59.999999", "2026-03-11"],
    format="ISO8601",
).as_unit("us")
QUERY = "SELECT * FROM events WHERE (at >= :start AND at < :end) OR at IS NULL"


def events(times: pd.DatetimeIndex) -> pd.DataFrame:
    return pd.DataFrame({"at": times, "place": ["a", "b", None, "d", "e", "f"], "count": range(6)})


def as_csv(directory: Path, frame: pd.DataFrame) -> Path:
    (directory / "x").mkdir()
    frame[:3].to_csv(directory / "x" / "1.csv", index=False)
    frame[3:].to_csv(directory / "x" / "2.csv", index=False)
    return directory / "x" / "*.csv"


def as_parquet(directory: Path, frame: pd.DataFrame) -> Path:
    frame[:3].to_parquet(directory / "1.parquet", row_group_size=2)
    frame[3:].assign(extra=1).to_parquet(directory / "2.parquet")
    return directory / "*.parquet"


def as_sql(directory: Path, frame: pd.DataFrame) -> str:
    engine = sqlalchemy.create_engine(f"sqlite:///{directory}/events.db")
    frame.to_sql("events", engine, index=False)
    engine.dispose()
    return str(engine.url)


def as_delta(directory: Path, frame: pd.DataFrame) -> Path:
    write_deltalake(directory / "events", pa.Table.from_pandas(frame, preserve_index=False))
    return directory / "events"


SOURCES: dict[str, Callable[[Path, pd.DataFrame, str], Load]] = {
    "csv": lambda at, frame, zone: csv(as_csv(at, frame), "at", timezone=zone, piece_rows=2),
    "parquet": lambda at, frame, zone: parquet(as_parquet(at, frame), "at", timezone=zone, piece_rows=2),
    "sql": lambda at, frame, zone: sql(as_sql(at, frame), QUERY, "at", timezone=zone, piece_rows=2),
    "delta": lambda at, frame, zone: delta(as_delta(at, frame), "at", timezone=zone, piece_rows=2),
}
every_source = pytest.mark.parametrize("make", SOURCES.values(), ids=SOURCES.keys())


def rows_of(load: Load, window: Window = WINDOW) -> pd.DataFrame:
    pieces = [piece.to_pandas() if isinstance(piece, pa.Table) else piece for piece in load(window)]
    return pd.concat(pieces, ignore_index=True) if pieces else pd.DataFrame()


@every_source
@pytest.mark.parametrize("zoned", [True, False], ids=["zoned", "naive"])
def test_gives_the_half_open_window_and_every_row_without_a_time(
    make: Callable[..., Load], zoned: bool, tmp_path: Path
) -> None:
    rows = rows_of(make(tmp_path, events(TIMES.tz_localize("UTC") if zoned else TIMES), "UTC"))
    assert list(rows["count"]) == [1, 2, 3, 4]
    assert str(rows["at"].dtype) == "datetime64[us, UTC]"
    assert list(rows["at"].isna()) == [False, False, True, False]
    assert rows["at"][0] == DAY
    assert rows["place"].isna().sum() == 1


@every_source
def test_holds_a_piece_at_a_time(make: Callable[..., Load], tmp_path: Path) -> None:
    assert all(len(piece) <= 2 for piece in make(tmp_path, events(TIMES), "UTC")(WINDOW))


@every_source
def test_reads_naive_times_in_the_given_zone(make: Callable[..., Load], tmp_path: Path) -> None:
    local = TIMES.tz_localize("UTC").tz_convert("America/New_York").tz_localize(None)
    assert list(rows_of(make(tmp_path, events(local), "America/New_York"))["count"]) == [1, 2, 3, 4]


@every_source
def test_a_window_without_events_holds_only_the_rows_without_a_time(make: Callable[..., Load], tmp_path: Path) -> None:
    empty = Window(datetime(1900, 1, 1, tzinfo=UTC), datetime(1900, 1, 1, tzinfo=UTC))
    assert list(rows_of(make(tmp_path, events(TIMES), "UTC"), empty)["count"]) == [3]


@every_source
def test_a_missing_timestamp_column_is_named(make: Callable[..., Load], tmp_path: Path) -> None:
    load = make(tmp_path, events(TIMES), "UTC")
    renamed = events(TIMES).rename(columns={"at": "att"})
    for file in tmp_path.rglob("*.csv"):
        renamed.to_csv(file, index=False)
    for file in tmp_path.glob("*.parquet"):
        renamed.to_parquet(file)
    if "events.db" in {file.name for file in tmp_path.iterdir()}:
        load = sql(f"sqlite:///{tmp_path}/events.db", QUERY.replace("*", "at AS att"), "at")
    if (tmp_path / "events").exists():
        write_deltalake(tmp_path / "events", renamed, mode="overwrite", schema_mode="overwrite")
    with pytest.raises(LoadFailed, match="no timestamp column 'at': did you mean 'att'"):
        rows_of(load)


def test_unreadable_times_in_a_csv_are_kept_as_they_stand(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("at,n\n2026-03-10T01:00:00+02:00,1\nyesterday,2\n,3\n2026-03-10 05:00,4\n")
    rows = rows_of(csv(tmp_path / "a.csv", "at", timezone="Europe/Berlin"), Window(DAY - timedelta(days=1), DAY))
    assert list(rows["n"]) == [1, 2, 3]
    assert list(rows["at"].fillna("missing")) == ["2026-03-09T23:00:00.000000+00:00", "yesterday", "missing"]


def test_other_formats_of_times_and_further_arguments_of_pandas(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("at;n;code\n10.03.2026 14:00;1,5;007\n", encoding="utf-16")
    load = csv(
        tmp_path / "a.csv",
        "at",
        time_format="%d.%m.%Y %H:%M",
        dtypes={"code": "str"},
        encoding="utf-16",
        sep=";",
        decimal=",",
    )
    (row,) = rows_of(load).to_dict("records")
    assert row == {"at": pd.Timestamp("2026-03-10T14:00Z"), "n": 1.5, "code": "007"}


@pytest.mark.parametrize("text", ["", "at,n\n"], ids=["empty", "header only"])
def test_a_csv_without_rows_is_no_error(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(text)
    assert rows_of(csv(tmp_path / "a.csv", "at")).empty


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"at,n\n2026-03-10,caf\xe9\n", "another encoding .*encoding='cp1252'"),
        (b'at,n\n2026-03-10,"never closed\n', "not a CSV file of this form"),
        (b"at,n\n2026-03-10,1\n2026-03-10,1,2,3\n", "not a CSV file of this form"),
        (b"at,n\n2026-03-10,1,2\n2026-03-10,1,2\n", "more fields than its header"),
    ],
    ids=["encoding", "quote", "ragged", "surplus"],
)
def test_what_is_wrong_with_a_csv(content: bytes, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(LoadFailed, match=f"a.csv .*{sentence}"):
        rows_of(csv(tmp_path / "a.csv", "at"))


@pytest.mark.parametrize("damage", ["cut", "overwritten", "empty", "other"])
def test_a_damaged_parquet_file_is_named(damage: str, tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    pd.DataFrame({"at": TIMES[1], "n": range(20_000)}).to_parquet(file)
    whole = file.read_bytes()
    spoilt = {"cut": whole[:-99], "overwritten": b"\xff" * 9_000 + whole[9_000:], "empty": b"", "other": b"at,n\n" * 9}
    file.write_bytes(spoilt[damage])
    with pytest.raises(LoadFailed, match=r"a\.parquet is damaged"):
        rows_of(parquet(file, "at", piece_rows=2))


def test_numbers_are_no_times(tmp_path: Path) -> None:
    pq.write_table(pa.table({"at": [1_773_100_800]}), tmp_path / "a.parquet")
    with pytest.raises(LoadFailed, match="'at' holds numbers"):
        rows_of(parquet(tmp_path / "a.parquet", "at"))


def test_dates_and_text_in_parquet_are_times(tmp_path: Path) -> None:
    pq.write_table(pa.table({"at": [DAY.date(), None]}), tmp_path / "1.parquet")
    pq.write_table(pa.table({"at": ["2026-03-10T10:00:00-01:00", "?"]}), tmp_path / "2.parquet")
    dates, texts = (rows_of(parquet(tmp_path / f"{number}.parquet", "at"))["at"] for number in (1, 2))
    assert list(dates.isna()) == [False, True]
    assert list(texts) == ["2026-03-10T11:00:00.000000+00:00", "?"]


def test_a_window_past_what_nanoseconds_can_hold(tmp_path: Path) -> None:
    pd.DataFrame({"at": TIMES.as_unit("ns")}).to_parquet(tmp_path / "a.parquet")
    window = Window(DAY, datetime(3000, 1, 1, tzinfo=UTC))
    assert len(rows_of(parquet(tmp_path / "a.parquet", "at", piece_rows=2), window)) == 5


@pytest.mark.parametrize("make", [csv, parquet])
def test_no_file_matches(make: Callable[..., Load], tmp_path: Path) -> None:
    with pytest.raises(LoadFailed, match=r"no file matches .*/none/\*\.csv: .*absolute"):
        rows_of(make(tmp_path / "none" / "*.csv", "at"))


def test_no_delta_table(tmp_path: Path) -> None:
    with pytest.raises(LoadFailed, match="no readable Delta table"):
        rows_of(delta(tmp_path / "none", "at"))


def test_the_url_of_a_database_may_stand_in_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAREHOUSE_URL", as_sql(tmp_path, events(TIMES)))
    assert len(rows_of(sql("env:WAREHOUSE_URL", QUERY, "at", piece_rows=2))) == 4


def test_it_may_stand_in_a_file_that_the_environment_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "url").write_text(as_sql(tmp_path, events(TIMES)) + "\n")
    monkeypatch.setenv("WAREHOUSE_URL_FILE", str(tmp_path / "url"))
    assert len(rows_of(sql("env:WAREHOUSE_URL", QUERY, "at"))) == 4
    monkeypatch.setenv("WAREHOUSE_URL_FILE", str(tmp_path / "none"))
    with pytest.raises(LoadFailed, match="none, which cannot be read"):
        rows_of(sql("env:WAREHOUSE_URL", QUERY, "at"))


@pytest.mark.parametrize(
    ("url", "query", "sentence"),
    [
        ("me:secret@host", QUERY, "not valid for SQLAlchemy"),
        ("nosuch://me:secret@host/db", QUERY, "SQLAlchemy does not support this database"),
        ("postgresql://me:a@secret@host/db", QUERY, "%40 for @"),
        ("postgresql://me:a@host:secret/db", QUERY, "not valid for SQLAlchemy"),
        ("mssql+pymssql://me:secret@host/db", QUERY, "driver is not installed"),
        ("sqlite://", "SELECT 1", "lacks :start or :end"),
    ],
    ids=["no url", "dialect", "unquoted", "port", "driver", "unbounded"],
)
def test_what_is_wrong_with_a_database_is_said_without_its_password(
    url: str, query: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAREHOUSE_URL", url)
    with pytest.raises(LoadFailed, match=sentence) as raised:
        rows_of(sql("env:WAREHOUSE_URL", query, "at"))
    assert "secret" not in "".join(traceback.format_exception(raised.value))


def test_a_variable_that_is_not_set_is_named() -> None:
    with pytest.raises(LoadFailed, match="variable NO_SUCH_URL is not set"):
        rows_of(sql("env:NO_SUCH_URL", QUERY, "at"))


@pytest.mark.parametrize(
    "url", ["postgresql://me:secret@host/db", "mysql://host/db?user=me&password=secret", "a:secret@b"]
)
def test_a_password_in_a_project_file_is_refused(url: str) -> None:
    with pytest.raises(LoadFailed) as raised:
        sql(url, QUERY, "at")
    assert "secret" not in str(raised.value)
    sql("postgresql://me@host/db", QUERY, "at")


def test_a_database_that_cannot_be_reached_is_left_to_the_retries(tmp_path: Path) -> None:
    with pytest.raises(sqlalchemy.exc.OperationalError):
        rows_of(sql(f"sqlite:///{tmp_path}/none/events.db", QUERY, "at"))


@pytest.mark.parametrize("query", ["SELECT * FROM none WHERE at >= :start AND at < :end", "SELEC :start, :end"])
def test_a_query_that_the_database_does_not_understand_is_no_fault_of_the_network(query: str) -> None:
    with pytest.raises(LoadFailed, match="the query fails"):
        rows_of(sql("sqlite://", query, "at"))


def test_large_whole_numbers_of_a_query_stay_exact_beside_missing_ones() -> None:
    numbers = " UNION ALL ".join(f"SELECT {n} AS n, '2026-03-10' AS at" for n in (2**53 + 1, 2**53 + 3, "NULL"))
    query = f"SELECT * FROM ({numbers}) WHERE at >= :start AND at < :end"  # noqa: S608
    (piece,) = (piece for piece in sql("sqlite://", query, "at")(WINDOW) if len(piece))
    assert pa.array(piece["n"], from_pandas=True).to_pylist() == [2**53 + 1, 2**53 + 3, None]


@pytest.mark.parametrize("suffix", ["gz", "bz2", "xz", "zip"])
def test_a_compressed_file_that_is_cut_short_is_named(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.csv.{suffix}"
    events(TIMES).to_csv(path, index=False)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(LoadFailed, match=f"a.csv.{suffix} is damaged"):
        rows_of(csv(path, "at"))
