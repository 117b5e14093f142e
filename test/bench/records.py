"""What putting, getting and re-keying records takes.

Everything is called from SQL in one session, with the content in a table that
stores it as it is.  Storing the same bytes without medsync, in a table like
_record_chunk, is measured beside it.  A round measures each once; medians of the
rounds are reported.
"""

import statistics
import time

MIB = 1048576
SMALL = 10240                   # bytes of a small record
LARGE = 100 * MIB

# title, what runs before, the statement, bytes of content, calls, as whom
WORK = (
    ("store 100 MiB without medsync",
     "TRUNCATE plain",
     "INSERT INTO plain SELECT 0, i, substr(d, 1 + i * 1048576, 1048576) "
     "FROM content, generate_series(0, 99) AS i WHERE size = 104857600",
     LARGE, 1, None),
    ("read them", None,
     "SELECT sum(length(body || '')) FROM plain", LARGE, 1, None),
    ("put 100 MiB", None,
     "INSERT INTO made SELECT 'large', medsync.put_record('patient-1', d, 'x', "
     "ARRAY[(SELECT id FROM who WHERE name = 'b')]) FROM content WHERE size = 104857600",
     LARGE, 1, "bench_a"),
    ("get 100 MiB", None,
     "SELECT sum(length(medsync.get_record(record))) FROM made WHERE kind = 'large'",
     LARGE, 1, "bench_a"),
    ("get 100 MiB, private key", None,
     "SELECT sum(length(medsync.get_record(record, (SELECT private_key FROM who "
     "WHERE name = 'b')))) FROM made WHERE kind = 'large'",
     LARGE, 1, "bench_b"),
    ("re-key 100 MiB", None,
     "SELECT count(medsync.revoke_record(record, (SELECT id FROM who "
     "WHERE name = 'b'))) FROM made WHERE kind = 'large'",
     LARGE, 1, "bench_a"),
    ("put 10 kB", None,
     "INSERT INTO made SELECT 'small', medsync.put_record('patient-1', d, 'x', "
     "ARRAY(SELECT id FROM who WHERE name IN ('b', 'c'))) FROM content, "
     "generate_series(1, {count}) WHERE size = 10240",
     SMALL, 1000, "bench_a"),
    ("get 10 kB", None,
     "SELECT sum(length(medsync.get_record(record))) FROM made WHERE kind = 'small'",
     SMALL, 1000, "bench_a"),
    ("grant 10 kB", None,
     "SELECT count(medsync.grant_record(record, (SELECT id FROM who "
     "WHERE name = 'd'))) FROM made WHERE kind = 'small'",
     SMALL, 1000, "bench_a"),
    ("re-key 10 kB, three holders stay", None,
     "SELECT count(medsync.revoke_record(record, (SELECT id FROM who "
     "WHERE name = 'b'))) FROM made WHERE kind = 'small'",
     SMALL, 1000, "bench_a"),
)


class Records:
    """Measures; the caller gives the session and how CPU and WAL are read."""

    def __init__(self, session, cpu, wal, quick):
        self.session = session
        self.cpu = cpu
        self.wal = wal
        self.count = 20 if quick else 1000
        self.large = 2 if quick else 100    # MiB
        self.results = {}       # title -> [(seconds, CPU, WAL)]
        session.query("CREATE EXTENSION medsync")
        session.query("SET search_path = public, pg_temp")
        self.prepare()

    def prepare(self):
        run = self.session.query
        for name in "abcd":
            run(f"CREATE ROLE bench_{name}")
        run("CREATE TABLE who AS SELECT name, medsync.register_person("
            "'practitioner', name, ('bench_' || name)::regrole) AS id, "
            "(pair).public_key, (pair).private_key FROM (SELECT name, "
            "medsync.generate_key_pair('x25519') AS pair "
            "FROM unnest('{a,b,c,d}'::text[]) AS name) AS pairs")
        run("SELECT medsync.verify_person(id), medsync.add_key(id, 'x25519', "
            "public_key) FROM who")
        run("CREATE TABLE content (size int, d bytea)")
        run("ALTER TABLE content ALTER d SET STORAGE external")
        run("INSERT INTO content SELECT size, substr((SELECT string_agg(int4send(i) "
            "|| block, '') FROM generate_series(0, size / 1048576) AS i), 1, size) "
            f"FROM unnest(ARRAY[10240, {self.large * MIB}]) AS size, "
            "(SELECT string_agg(sha256(int4send(j)), '') AS block "
            "FROM generate_series(1, 32768) AS j) AS blocks")
        run(f"UPDATE content SET size = {LARGE} WHERE size > 10240")
        run("CREATE TABLE plain (record int, chunk int, body bytea, "
            "PRIMARY KEY (record, chunk))")
        run("ALTER TABLE plain ALTER body SET STORAGE external")
        run("CREATE TABLE made (kind text, record uuid)")
        run("GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC")

    def one(self, title, before, sql, count, role):
        if before:
            self.session.query(before)
        self.session.query("CHECKPOINT")
        if role:
            self.session.query(f"SET SESSION AUTHORIZATION {role}")
        wal, cpu = self.wal(), self.cpu(self.session.pid)
        start = time.perf_counter()
        self.session.query(sql.format(count=count))
        seconds = time.perf_counter() - start
        self.results.setdefault(title, []).append(
            (seconds, self.cpu(self.session.pid) - cpu, self.wal() - wal))
        if role:
            self.session.query("RESET SESSION AUTHORIZATION")

    def round(self):
        self.session.query("TRUNCATE made")
        for title, before, sql, _, calls, role in WORK:
            self.one(title, before, sql, calls if calls == 1 else self.count, role)
        found = self.session.value("SELECT count(*) FROM medsync.verify() "
                                   "WHERE severity = 'error'")
        if found != "0":
            raise RuntimeError("verify() finds something in the records")

    def report(self, table_out):
        print("\n## Records\n")
        rows = []
        for title, _, _, size, calls, _ in WORK:
            if title not in self.results:
                continue
            seconds, cpu, wal = (statistics.median(x) for x in zip(*self.results[title]))
            count = 1 if calls == 1 else self.count
            size = self.large * MIB if calls == 1 else size
            rows.append((title, f"{count:,}", f"{seconds:.2f} s",
                         f"{seconds / count * 1000:,.2f} ms",
                         f"{cpu / count * 1000:,.2f} ms",
                         f"{size * count / seconds / 1e6:,.0f} MB/s",
                         f"{wal / count:,.0f}"))
        table_out(("", "calls", "time", "a call", "CPU of it", "content",
                   "WAL bytes of a call"), rows)
