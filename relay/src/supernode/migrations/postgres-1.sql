CREATE TABLE torrents (
  info_hash       BYTEA   NOT NULL PRIMARY KEY,
  info_hash_v2    BYTEA,
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
  words           TSVECTOR NOT NULL
);
CREATE INDEX torrents_by_life ON torrents (life DESC) WHERE unlisted = 0;
CREATE INDEX torrents_by_words ON torrents USING gin (words);
CREATE TABLE torrent_files (
  info_hash BYTEA NOT NULL PRIMARY KEY,
  torrent   BYTEA NOT NULL
);
CREATE TABLE receipts (
  info_hash BYTEA   NOT NULL,
  node      BYTEA   NOT NULL,
  planter   BYTEA   NOT NULL,
  receipt   BYTEA   NOT NULL,
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
  info_hash BYTEA   NOT NULL,
  planter   BYTEA   NOT NULL,
  statement BYTEA   NOT NULL,
  issued    BIGINT NOT NULL,
  seq       BIGINT NOT NULL,
  PRIMARY KEY (info_hash, planter)
);
CREATE INDEX withdrawals_by_seq ON withdrawals (seq);
CREATE TABLE counts (
  seq       BIGINT NOT NULL PRIMARY KEY,
  node      BYTEA   NOT NULL,
  statement BYTEA   NOT NULL,
  issued    BIGINT NOT NULL
);
CREATE TABLE lives (
  info_hash       BYTEA   NOT NULL,
  node            BYTEA   NOT NULL,
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
  key     BYTEA   NOT NULL PRIMARY KEY,
  url     TEXT   NOT NULL,
  entry   TEXT   NOT NULL,
  network TEXT   NOT NULL,
  added   BIGINT NOT NULL,
  seen    BIGINT NOT NULL,
  tried   BIGINT NOT NULL
);
CREATE INDEX nodes_by_url ON nodes (url);
CREATE TABLE supernodes (
  key        BYTEA   NOT NULL PRIMARY KEY,
  url        TEXT   NOT NULL,
  added      BIGINT NOT NULL,
  seen       BIGINT NOT NULL,
  tried      BIGINT NOT NULL,
  index_name BYTEA,
  feed       BIGINT NOT NULL
);
CREATE TABLE counters (
  name  TEXT   NOT NULL PRIMARY KEY,
  value BIGINT NOT NULL
);
INSERT INTO counters (name, value) VALUES ('seq', 0);
CREATE TABLE names (
  name  TEXT NOT NULL PRIMARY KEY,
  value BYTEA NOT NULL
);
