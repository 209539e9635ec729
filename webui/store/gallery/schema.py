"""The tables of `gallery.db`, version by version."""

from __future__ import annotations

__all__ = ["GONE", "HERE", "MIGRATIONS", "TRASHED"]

HERE, TRASHED, GONE = 0, 1, 2  # the states of a row of `pictures`
MIGRATIONS = (
    """
    CREATE TABLE pictures (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        state INTEGER NOT NULL CHECK (state IN (0, 1, 2)),  -- here, in the trash, gone
        name TEXT NOT NULL,                         -- the file, below the outputs folder
        folder TEXT NOT NULL,                       -- that of `name`, "" for the outputs folder itself
        home TEXT NOT NULL,                         -- `name`, or where a file of the trash goes back to
        size INTEGER NOT NULL,                      -- in bytes
        mtime_ns INTEGER NOT NULL,
        mark TEXT NOT NULL,                         -- of the content
        stamp TEXT NOT NULL,                        -- of this version of the file
        width INTEGER NOT NULL,
        height INTEGER NOT NULL,
        made_s REAL NOT NULL,
        day TEXT NOT NULL,                          -- of `made_s`, in local time
        task TEXT NOT NULL,
        model TEXT NOT NULL,
        sampler TEXT NOT NULL,
        seed INTEGER,
        owner TEXT NOT NULL,                        -- whose job made it, "" for none
        job TEXT NOT NULL,
        favourite INTEGER NOT NULL DEFAULT 0,
        left_s REAL                                 -- when it went to the trash, or was found to be gone
    ) STRICT;
    CREATE UNIQUE INDEX pictures_by_name ON pictures (name) WHERE state < 2;
    CREATE INDEX pictures_by_folder ON pictures (folder, name, size, mtime_ns) WHERE state < 2;
    CREATE INDEX pictures_by_mark ON pictures (mark);
    CREATE INDEX pictures_by_time ON pictures (state, made_s, id, owner);
    CREATE INDEX pictures_by_model ON pictures (state, model, made_s, id, owner, sampler, task);
    CREATE INDEX pictures_by_sampler ON pictures (state, sampler, made_s, id, owner, task, model);
    CREATE INDEX pictures_by_task ON pictures (state, task, made_s, id, owner, model, sampler);
    CREATE INDEX pictures_by_day ON pictures (state, day, owner);
    CREATE INDEX favourites ON pictures (state, made_s, id, owner) WHERE favourite;
    CREATE TABLE texts (
        id INTEGER PRIMARY KEY,
        prompt TEXT NOT NULL,
        negative_prompt TEXT NOT NULL,
        parameters TEXT NOT NULL
    ) STRICT;
    CREATE VIRTUAL TABLE words USING fts5 (
        prompt, negative_prompt,
        tokenize = "unicode61 remove_diacritics 2", prefix = '1 2 3', columnsize = 0
    );
    """,
    # Everything that is searched for is a word at a place in time (`listing`). The rows of `pictures` stay as they
    # are; those without a place are listed by `Index.list_waiting`.
    """
    DROP TABLE words;
    DROP INDEX pictures_by_time;
    DROP INDEX pictures_by_model;
    DROP INDEX pictures_by_sampler;
    DROP INDEX pictures_by_task;
    DROP INDEX favourites;
    ALTER TABLE pictures ADD COLUMN place INTEGER;  -- its row of `words`, NULL for none
    CREATE UNIQUE INDEX pictures_by_place ON pictures (place);
    CREATE INDEX pictures_waiting ON pictures (made_s) WHERE place IS NULL AND state < 2;
    CREATE INDEX pictures_by_model ON pictures (state, model, owner);
    CREATE INDEX pictures_by_sampler ON pictures (state, sampler, owner);
    CREATE INDEX pictures_by_task ON pictures (state, task, owner);
    CREATE INDEX pictures_by_leaving ON pictures (state, left_s) WHERE state > 0;
    CREATE INDEX favourites ON pictures (home) WHERE favourite;
    CREATE VIRTUAL TABLE words USING fts5 (
        prompt, negative_prompt, marks,
        tokenize = "unicode61 remove_diacritics 2", prefix = '1 2 3', columnsize = 0
    );
    """,
)
