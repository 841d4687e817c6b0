CREATE TABLE torrents (
  info_hash    BLOB   NOT NULL PRIMARY KEY,
  info_hash_v2 BLOB,
  name         TEXT,
  length       BIGINT,
  files        BIGINT,
  torrent      BLOB,
  unlisted     BIGINT NOT NULL,
  added        BIGINT NOT NULL
);
CREATE TABLE receipts (
  info_hash BLOB   NOT NULL,
  node      BLOB   NOT NULL,
  planter   BLOB   NOT NULL,
  receipt   BLOB   NOT NULL,
  expires   BIGINT NOT NULL,
  PRIMARY KEY (info_hash, node, planter)
);
CREATE INDEX receipts_by_expiry ON receipts (expires);
CREATE TABLE nodes (
  key   BLOB   NOT NULL PRIMARY KEY,
  url   TEXT   NOT NULL,
  entry TEXT   NOT NULL,
  seen  BIGINT NOT NULL
);
CREATE INDEX nodes_by_url ON nodes (url);
