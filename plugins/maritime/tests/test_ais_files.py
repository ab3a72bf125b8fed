"""Reading and cleaning messages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from framework_maritime.ais.cleaning import clean
from framework_maritime.ais.csv_file import read_csv
from framework_maritime.ais.nmea import read_nmea
from framework_maritime.ais.workloads import RecordedAis
from framework_maritime.fleet.port_map import LAND

from framework.errors import ConfigError, InputError

DANISH = (
    "# Timestamp,Type of mobile,MMSI,Latitude,Longitude,Navigational status,ROT,SOG,COG,Heading,IMO,Ship type,"
    "Length\n"
    "01/06/2025 00:00:00,Class A,219000001,55.5,10.5,Under way using engine,0.0,12.3,90,90,Unknown,Cargo,150\n"
    "01/06/2025 00:01:00,Class A,219000001,55.5,10.506,Under way using engine,,12.1,90,90,Unknown,Cargo,150\n"
)
US = (
    "MMSI,BaseDateTime,LAT,LON,SOG,COG,Heading,VesselName,IMO,CallSign,VesselType,Status,Length,Width,Draft,Cargo\n"
    "366000001,2024-01-01T00:00:00,29.1,-90.1,8.5,0,0,A,,,31,0,30,8,3,\n"
    "366000001,2024-01-01T00:01:00,29.102,-90.1,8.4,0,0,A,,,31,0,30,8,3,\n"
)
NORWEGIAN = (
    "mmsi;date_time_utc;lon;lat;sog;cog;true_heading;nav_status\n"
    "257000001;2024-06-01 12:00:00;10.1;59.1;14.2;10;10;0\n"
    "257000001;2024-06-01 12:01:00;10.1;59.104;14.0;10;10;0\n"
)


@pytest.mark.parametrize(
    ("text", "ship", "knots"), [(DANISH, 219000001, 12.3), (US, 366000001, 8.5), (NORWEGIAN, 257000001, 14.2)]
)
def test_the_published_layouts_are_found_by_their_header(
    tmp_path: Path, text: str, ship: int, knots: float
) -> None:
    file = tmp_path / "ais.csv"
    file.write_text(text)
    table = read_csv(file)
    assert table["ship_id"].to_pylist() == [ship, ship]
    assert table["sog_kn"][0].as_py() == knots
    assert table["t_s"][1].as_py() - table["t_s"][0].as_py() == 60


def test_a_byte_order_mark_and_gzip_make_no_difference(tmp_path: Path) -> None:
    import gzip

    plain, marked, zipped = tmp_path / "a.csv", tmp_path / "b.csv", tmp_path / "c.csv"
    plain.write_text(US)
    marked.write_text(US, encoding="utf-8-sig")
    zipped.write_bytes(gzip.compress(US.encode()))
    assert read_csv(plain) == read_csv(marked) == read_csv(zipped)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("a,b\n1,2\n", "not an AIS table"),
        (US.splitlines()[0] + "\n", "no message"),
        (US.replace("2024-01-01T00:0", "yesterday "), "no time can be read"),
        ("mmsi,lat,lon,sog\n1,2,3,4\n", "lacks"),
    ],
)
def test_a_file_that_holds_no_messages_is_one_clear_line(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "bad.csv"
    file.write_text(text)
    with pytest.raises(InputError, match=words) as error:
        read_csv(file)
    assert "\n" not in str(error.value)
    assert "bad.csv" in str(error.value)


def messages(**columns: list[float | None]) -> pa.Table:
    rows = len(next(iter(columns.values())))
    base = {
        "ship_id": [219000001.0] * rows,
        "t_s": [1.7e9 + 60 * row for row in range(rows)],
        "lon_deg": [2.3] * rows,
        "lat_deg": [41.2] * rows,
        "sog_kn": [0.0] * rows,
    }
    return pa.table({name: pa.array(values, pa.float64()) for name, values in {**base, **columns}.items()})


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"sog_kn": [1.0, None, 1.0]}, "a missing or unreadable number"),
        ({"ship_id": [219000001.0, 99.0, 219000001.0]}, "an identity of no ship"),
        ({"lat_deg": [41.2, 91.0, 41.2]}, "a place outside the world"),
        ({"sog_kn": [1.0, 102.3, 1.0]}, "a speed above 60 kn"),
        ({"t_s": [1.7e9, 4.0e9, 1.7e9 + 60]}, "a clock error"),
        ({"t_s": [1.7e9, 1.7e9, 1.7e9 + 60]}, "a second message of the same ship and second"),
        ({"lat_deg": [41.2, 43.0, 41.2]}, "a jump that no ship makes"),
    ],
)
def test_every_kind_of_wrong_message_is_counted_under_its_own_reason(
    columns: dict[str, list[float]], reason: str
) -> None:
    found = clean(messages(**columns))
    assert found.left_out == {reason: 1}
    assert found.positions.num_rows == 2


def test_a_place_on_land_is_counted_and_a_berth_is_not_on_land() -> None:
    found = clean(messages(lon_deg=[2.16, 1.0], lat_deg=[41.335, 42.0], t_s=[1.7e9, 1.7e9 + 90_000]), LAND)
    assert found.left_out == {"a place on land": 1}


def test_messages_out_of_order_are_sorted_and_noted() -> None:
    found = clean(messages(t_s=[1.7e9 + 120, 1.7e9, 1.7e9 + 60]))
    assert found.positions["t_s"].to_pylist() == [1.7e9, 1.7e9 + 60, 1.7e9 + 120]
    assert found.notes == {"messages out of order, sorted": 1}


def test_when_nothing_is_left_the_counts_say_why() -> None:
    with pytest.raises(InputError, match="no usable message among 2 \\(2 with a speed above 60 kn\\)"):
        clean(messages(sog_kn=[200.0, 200.0]))


NMEA = (
    b"\\g:1-2-1234,s:r3669961,c:1120959341*5F\\!AIVDM,1,1,,B,15M67FC000G?ufbE`FepT@3n00Sa,0*5C\n"
    b"!AIVDM,1,1,,A,13HOI:0P0000VOHLCnHQKwvL05Ip,0*23\n"
    b"!AIVDM,1,1,,B,garbage,0*00\n"
)


def test_raw_nmea_is_read_with_times_from_tag_blocks_and_the_rest_is_counted(tmp_path: Path) -> None:
    pytest.importorskip("pyais")
    file = tmp_path / "ais.nmea"
    file.write_bytes(NMEA)
    table, left_out = read_nmea(file)
    assert table["ship_id"].to_pylist()[0] == 366053209
    assert set(table["t_s"].to_pylist()) == {1120959341.0}
    assert sum(left_out.values()) == 1


def test_one_message_and_a_ship_without_a_registry_row_make_a_workload(tmp_path: Path) -> None:
    file, register = tmp_path / "ais.csv", tmp_path / "ships.csv"
    file.write_text("\n".join(US.splitlines()[:2]) + "\n")
    register.write_text("mmsi,ship_type,main_kw,design_speed_kn\n999,tug,1000,10\n")
    built = RecordedAis(str(file), str(register)).build(0)
    assert built.facts["ships_without_register_row"] == 1
    assert built.tables["positions"].num_rows == 1
    assert built.tables["ships"]["ship_type"].to_pylist() == ["tug"]  # as the ship says itself: AIS type 31


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name\nx\n", "no column 'ship_id'"),
        ("mmsi,main_kw\n1,much\n", "row 2: main_kw 'much' is not a number"),
        ("mmsi,main_kw\n1,-5\n", "must be above 0"),
        ("mmsi\n1\n1\n", "row 3: ship 1 stands twice"),
    ],
)
def test_a_wrong_register_is_named_by_file_and_row(tmp_path: Path, text: str, words: str) -> None:
    file, register = tmp_path / "ais.csv", tmp_path / "ships.csv"
    file.write_text(US)
    register.write_text(text)
    with pytest.raises(InputError, match=words):
        RecordedAis(str(file), str(register)).build(0)


def test_no_file_and_a_file_that_is_not_there_are_named_by_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"workload\.file"):
        RecordedAis(None)
    with pytest.raises(InputError, match=r"workload\.file: no file"):
        RecordedAis(str(tmp_path / "none.csv")).build(0)


def test_the_order_of_cleaning_does_not_depend_on_the_order_of_messages() -> None:
    table = messages(lat_deg=[41.2, 43.0, 41.2, 41.21], sog_kn=[1.0, 1.0, 102.3, 1.0])
    shuffled = table.take(np.array([3, 1, 0, 2]))
    assert clean(table).left_out == clean(shuffled).left_out
