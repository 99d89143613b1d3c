-- The schema of every database of the test bed: a small shop.
CREATE DATABASE shop;
CREATE TABLE shop.customers (
  id INT UNSIGNED PRIMARY KEY,
  name VARCHAR(80) NOT NULL,
  city VARCHAR(80) NOT NULL
);
CREATE TABLE shop.orders (
  id INT UNSIGNED PRIMARY KEY AUTO_INCREMENT,
  customer INT UNSIGNED NOT NULL,
  total DECIMAL(10, 2) NOT NULL,
  note VARCHAR(200),
  KEY (customer)
);
INSERT INTO shop.customers SELECT seq, CONCAT('Customer ', seq), ELT(1 + seq % 4, 'North', 'East', 'South', 'West') FROM shop.seq_1_to_300;
INSERT INTO shop.orders SELECT seq, 1 + seq * 7 % 300, seq * 1.25, IF(seq % 5 = 0, NULL, CONCAT('note ', seq)) FROM shop.seq_1_to_500;
-- Vault makes users that may read this schema, so it must hold that right itself, and may hand it on.
GRANT SELECT, SHOW VIEW ON shop.* TO 'vaultadmin'@'%' WITH GRANT OPTION;
