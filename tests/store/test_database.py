"""The database file: kept through crashes, migrated after a copy, refused when newer, set aside when damaged."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from webui.errors import EaselError
from webui.store.database import MIGRATIONS, Database

ROOT = Path(__file__).parent.parent.parent
NOTES = ("CREATE TABLE notes (text TEXT NOT NULL) STRICT;",)
WITH_DAY = (*NOTES, "ALTER TABLE notes ADD COLUMN day TEXT;")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "kept" / "easel.db"


def opened(path, migrations=NOTES):
    database = Database(path, migrations)
    with database.changing() as connection:
        connection.execute("INSERT INTO notes (text) VALUES ('one')")
    return database


def texts(database):
    return [row["text"] for row in database.rows("SELECT text FROM notes")]


def test_what_was_written_is_there_again(path):
    opened(path).close()
    again = Database(path, NOTES)
    assert texts(again) == ["one"]
    assert again.rows("PRAGMA journal_mode")[0][0] == "wal"
    assert again.rows("PRAGMA synchronous")[0][0] == 2  # FULL
    again.close()


def test_a_transaction_that_fails_leaves_nothing(path):
    database = opened(path)
    with pytest.raises(ZeroDivisionError), database.changing() as connection:
        connection.execute("INSERT INTO notes (text) VALUES ('two')")
        raise ZeroDivisionError
    assert texts(database) == ["one"]
    database.close()


def test_a_killed_process_loses_nothing_that_it_committed(path):
    code = (
        "import os, sys; from pathlib import Path; from webui.store.database import Database\n"
        f"d = Database(Path(sys.argv[1]), {NOTES!r})\n"
        "for i in range(20):\n"
        "    with d.changing() as c: c.execute('INSERT INTO notes VALUES (?)', (str(i),))\n"
        "os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], cwd=ROOT)
    assert done.returncode == -9
    database = Database(path, NOTES)
    assert texts(database) == [str(i) for i in range(20)]
    database.close()


def test_an_older_database_is_copied_and_brought_up_to_date(path):
    opened(path).close()
    newer = Database(path, WITH_DAY)
    assert [tuple(row) for row in newer.rows("SELECT text, day FROM notes")] == [("one", None)]
    newer.close()
    copy = sqlite3.connect(path.with_name("easel.db.version-1"))
    assert copy.execute("SELECT * FROM notes").fetchall() == [("one",)]
    copy.close()


def test_a_newer_database_is_refused_and_left_as_it_is(path):
    opened(path, WITH_DAY).close()
    before = path.read_bytes()
    with pytest.raises(EaselError, match=r"newer Easel.*update Easel"):
        Database(path, NOTES)
    assert path.read_bytes() == before
    opened(path, WITH_DAY).close()  # and its lock was given back


def test_a_damaged_database_is_set_aside_and_said(path, caplog):
    opened(path).close()
    damaged = b"no database at all" * 300
    path.write_bytes(damaged)
    database = Database(path, NOTES)
    assert texts(database) == []
    assert database.set_aside is not None and database.set_aside.read_bytes() == damaged
    assert "is damaged" in caplog.text
    database.close()


def test_one_process_has_it_at_a_time(path):
    database = opened(path)
    code = (
        "import sys; from pathlib import Path; from webui.store.database import Database\n"
        "Database(Path(sys.argv[1]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], cwd=ROOT, capture_output=True, text=True
    )
    assert "in use by another Easel" in done.stderr
    database.close()


def test_todays_migrations_make_a_database(path):
    database = Database(path)
    assert database.rows("PRAGMA user_version")[0][0] == len(MIGRATIONS)
    assert {row["name"] for row in database.rows("SELECT name FROM sqlite_schema")} >= {
        "jobs",
        "pictures",
    }
    database.close()
