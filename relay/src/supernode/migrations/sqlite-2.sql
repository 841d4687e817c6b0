-- The index of version 1 is made anew: nodes report their receipts to it.
DROP TABLE receipts;
DROP TABLE torrents;
DROP TABLE nodes;
CREATE TABLE torrents (
  id              INTEGER NOT NULL PRIMARY KEY,
  info_hash       BLOB    NOT NULL UNIQUE,
  info_hash_v2    BLOB,
  name            TEXT,
  length          BIGINT,
  files           BIGINT,
  proven          BIGINT  NOT NULL,
  unlisted        BIGINT  NOT NULL,
  added           BIGINT  NOT NULL,
  life            BIGINT  NOT NULL,
  seed_seen       BIGINT,
  tab_seeds       BIGINT  NOT NULL DEFAULT 0,
  tab_leeches     BIGINT  NOT NULL DEFAULT 0,
  classic_seeds   BIGINT  NOT NULL DEFAULT 0,
  classic_leeches BIGINT  NOT NULL DEFAULT 0,
  words           TEXT    NOT NULL
);
-- A walk over the living, and the life of one that was found, without touching the rows.
CREATE INDEX torrents_by_life ON torrents (unlisted, life);
CREATE INDEX torrents_by_id ON torrents (id, unlisted, life);
CREATE VIRTUAL TABLE search USING fts5 (words, content='', contentless_delete=1, detail=none, tokenize="unicode61 remove_diacritics 0");
CREATE TABLE torrent_files (
  info_hash BLOB NOT NULL PRIMARY KEY,
  torrent   BLOB NOT NULL
);
CREATE TABLE receipts (
  info_hash BLOB   NOT NULL,
  node      BLOB   NOT NULL,
  planter   BLOB   NOT NULL,
  receipt   BLOB   NOT NULL,
  url       TEXT   NOT NULL,
  issued    BIGINT NOT NULL,
  expires   BIGINT NOT NULL,
  unlisted  BIGINT NOT NULL,
  seq       BIGINT NOT NULL,
  PRIMARY KEY (info_hash, node, planter)
);
CREATE INDEX receipts_by_expiry ON receipts (expires);
CREATE INDEX receipts_by_seq ON receipts (seq);
CREATE TABLE withdrawals (
  info_hash BLOB   NOT NULL,
  planter   BLOB   NOT NULL,
  statement BLOB   NOT NULL,
  issued    BIGINT NOT NULL,
  seq       BIGINT NOT NULL,
  PRIMARY KEY (info_hash, planter)
);
CREATE INDEX withdrawals_by_seq ON withdrawals (seq);
CREATE TABLE counts (
  seq       BIGINT NOT NULL PRIMARY KEY,
  node      BLOB   NOT NULL,
  statement BLOB   NOT NULL,
  issued    BIGINT NOT NULL
);
CREATE TABLE lives (
  info_hash       BLOB   NOT NULL,
  node            BLOB   NOT NULL,
  tab_seeds       BIGINT NOT NULL,
  tab_leeches     BIGINT NOT NULL,
  classic_seeds   BIGINT NOT NULL,
  classic_leeches BIGINT NOT NULL,
  helped          BIGINT NOT NULL,
  seed_seen       BIGINT,
  issued          BIGINT NOT NULL,
  PRIMARY KEY (info_hash, node)
);
CREATE TABLE nodes (
  key     BLOB   NOT NULL PRIMARY KEY,
  url     TEXT   NOT NULL,
  entry   TEXT   NOT NULL,
  network TEXT   NOT NULL,
  added   BIGINT NOT NULL,
  seen    BIGINT NOT NULL,
  tried   BIGINT NOT NULL
);
CREATE INDEX nodes_by_url ON nodes (url);
CREATE TABLE supernodes (
  key        BLOB   NOT NULL PRIMARY KEY,
  url        TEXT   NOT NULL,
  added      BIGINT NOT NULL,
  seen       BIGINT NOT NULL,
  tried      BIGINT NOT NULL,
  index_name BLOB,
  feed       BIGINT NOT NULL
);
CREATE TABLE counters (
  name  TEXT   NOT NULL PRIMARY KEY,
  value BIGINT NOT NULL
);
INSERT INTO counters (name, value) VALUES ('seq', 0);
CREATE TABLE names (
  name  TEXT NOT NULL PRIMARY KEY,
  value BLOB NOT NULL
);
