-- A store as it was before stores had a version of their schema, with events and predictions in it.
CREATE TABLE about (
	log TEXT NOT NULL,
	PRIMARY KEY (log)
);
INSERT INTO "about" VALUES('0123456789abcdef0123456789abcdef');
CREATE TABLE events (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	source TEXT NOT NULL,
	id TEXT NOT NULL,
	time BIGINT NOT NULL,
	available_at BIGINT NOT NULL,
	payload TEXT NOT NULL,
	UNIQUE (source, id)
);
INSERT INTO "events" VALUES(1,'sales','a',1000,1000,'{"paid": 1.5, "who": "ann"}');
INSERT INTO "events" VALUES(2,'sales','b',2000,2600,'{"paid": null, "who": "bøb"}');
INSERT INTO "events" VALUES(3,'returns','a',1500,3000,'{"why": "broken"}');
CREATE TABLE predictions (
	prediction_id TEXT NOT NULL,
	made_at BIGINT NOT NULL,
	at BIGINT NOT NULL,
	position BIGINT NOT NULL,
	model_version TEXT NOT NULL,
	features TEXT NOT NULL,
	answer FLOAT NOT NULL,
	"row" TEXT NOT NULL,
	vector BLOB NOT NULL,
	PRIMARY KEY (prediction_id)
);
INSERT INTO "predictions" VALUES('p1',4000,3000,2,'m1','f1',3.00000000000000044408e-01,'{"who": "ann"}',X'9A9999999999B93F9A9999999999C93F000000000000F87F0000000000000080');
INSERT INTO "predictions" VALUES('p2',5000,3000,3,'m1','f1',0.7,'{"who": "bøb"}',X'80000000000000007FF80000000000003FC999999999999A3FB999999999999A');
CREATE INDEX events_known ON events (available_at);
INSERT INTO "sqlite_sequence" VALUES('events',3);
