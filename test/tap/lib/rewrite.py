#!/usr/bin/env python3
"""The attacker who knows every format and has the master key: rewrites a
ledger's past and computes everything that follows from it again.

    rewrite.py LEDGER KEY [STEP...]

LEDGER is what test/vectors/export.sql wrote, KEY the master key file.  Writes
the SQL that puts the ledger with another past in place of the one that is
there; nothing in it is signed.  Transactions (X, Y) are named by their ids,
entries by transaction and ordinal (X O).  Steps:

    role X NAME         the role in effect of all entries of a transaction
    value X O COLUMN TEXT
                        a column of the row that an entry brought (a text
                        column, or an integer one); row key, commitment and
                        image follow
    bytes X O COLUMN HEX
                        the same of a column of type uuid, bytea or timestamptz
    signed X O          an entry names the signature that its row has
    digest X O HEX      it names another: key and digest
    unsigned X O        it names none
    drop X              a transaction is gone
    copy X Y            a transaction stands there once more, as Y, before
                        the one that came next
    move X Y            a transaction had flushed right before Y
    exchange X Y        two transactions had flushed in each other's place
    table X O NUMBER    an entry is of another table of the same shape
    time X SECONDS      a transaction was so much later
    sealed H SECONDS    so was the block of a height
    cut H               blocks from a height on were never sealed
    forget H            nor was anything written that they hold
    journal             rewrite the journal, and nothing that follows from it

Rewritten are journal, blocks, tiles, order and look-ups; live rows are not.
Blocks that hold nothing any more are left out.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "..", "vectors"))

import reference as ref

MICROSECONDS = 1000000


# ---- packed rows ----


def pack_entry(e, before, image):
    """An entry as it follows another in a packed row."""
    flags = e.fields & ref.ENTRY_FIELDS & ~ref.HAS_KEY_ID
    fields = []

    def put(bit, differs, data):
        nonlocal flags
        if differs:
            flags |= bit
            fields.append(data)

    put(ref.HAS_OPERATION, e.operation != before.operation, bytes((e.operation,)))
    put(ref.HAS_TABLE, (e.table, e.manifest) != (before.table, before.manifest),
        ref.varint(e.table) + ref.varint(e.manifest))
    put(ref.HAS_COMMAND, e.command != before.command, ref.varint(e.command))
    put(ref.HAS_STATEMENT_TIME, e.statement_time != before.statement_time,
        ref.zigzag(before.statement_time - e.statement_time))
    put(ref.HAS_ORDINAL_GAP, e.ordinal != before.ordinal + 1,
        ref.varint(e.ordinal - before.ordinal - 1))
    put(ref.HAS_ROLE, e.role != before.role, ref.counted(e.role))
    put(ref.HAS_KEY_ID, e.key_id != before.key_id, e.key_id)
    fields += [e.row_key or b"", e.old or b"", e.new or b""]
    put(ref.HAS_IMAGE, image is not None, ref.counted(image or b""))
    put(ref.HAS_LARGE_IMAGE, e.large_seed is not None,
        (e.large_seed or b"") + ref.varint(e.large_length))
    fields += [e.person or b"", e.signature or b"", e.object or b"",
               ref.counted(e.detail) if e.detail is not None else b""]
    return ref.varint(flags) + b"".join(fields)


class Past:
    """A ledger's past, open to changes."""

    def __init__(self, path, key_path):
        self.ledger = ledger = ref.Ledger(path)
        ledger.read()
        ledger.open_keys(key_path)
        ledger.open_images()
        if ledger.errors:
            sys.exit("the ledger is not right as it is: " + ledger.errors[0])
        self.plain = {id(e): row for e, row in ledger.images}
        self.changed = set()    # packed rows to pack again
        self.cut_from = None    # height of the first block to leave out
        self.forgotten = False
        self.journal_only = False

    def rows_of(self, xid):
        found = [row for row in self.ledger.packed_rows if row.xid == xid]
        if not found:
            sys.exit("no transaction %d" % xid)
        self.changed.update(map(id, found))
        return found

    def entry_of(self, xid, ordinal):
        for row in self.rows_of(xid):
            for e in row.entries:
                if e.ordinal == ordinal:
                    return e
        sys.exit("no entry (%d, %d)" % (xid, ordinal))

    # -- steps --

    def role(self, xid, name):
        for row in self.rows_of(xid):
            for e in row.entries:
                e.role = name.encode()

    def set_row(self, e, row):
        """Let an entry bring another row: what was derived from it follows."""
        ledger = self.ledger
        manifest = ledger.manifests[e.table, e.manifest]
        secret = ledger.by_id[e.key_id][1]
        if id(e) in self.plain:
            self.plain[id(e)] = row
        e.new = ref.row_commitment(e.table, row, ref.derive(secret, "commit"))[2]
        if manifest["key"]:
            label = ref.derive(ledger.table_key(e.table)[1], "label")
            columns = ledger.key_columns(manifest, ref.split_row(row))
            e.row_key = ref.mac(label, columns)[:16]

    def value(self, xid, ordinal, column, text):
        e = self.entry_of(xid, int(ordinal))
        columns = ref.split_row(self.plain[id(e)])
        old = columns[int(column)]
        if old[:1] == b"i":
            columns[int(column)] = b"i" + ref.u64(int(text))
        else:
            columns[int(column)] = b"t" + ref.counted(text.encode())
        self.set_row(e, b"".join(ref.varint(n) + columns[n] for n in sorted(columns)))

    def bytes(self, xid, ordinal, column, text):
        e = self.entry_of(xid, int(ordinal))
        columns = ref.split_row(self.plain[id(e)])
        tag, data = columns[int(column)][:1], bytes.fromhex(text)
        columns[int(column)] = tag + (ref.counted(data) if tag == b"y" else data)
        self.set_row(e, b"".join(ref.varint(n) + columns[n] for n in sorted(columns)))

    def signed(self, xid, ordinal):
        e = self.entry_of(xid, int(ordinal))
        manifest = self.ledger.manifests[e.table, e.manifest]
        columns = ref.split_row(self.plain[id(e)])
        e.signature = (ref.uuid_of(columns[manifest["signer"]]) +
                       ref.sha256(ref.bytea_of(columns[manifest["signature"]])))

    def digest(self, xid, ordinal, text):
        self.entry_of(xid, int(ordinal)).signature = bytes.fromhex(text)

    def unsigned(self, xid, ordinal):
        e = self.entry_of(xid, int(ordinal))
        e.signature = e.detail = None
        e.fields &= ~(ref.HAS_SIGNATURE | ref.HAS_DETAIL)

    def table(self, xid, ordinal, number):
        e = self.entry_of(xid, int(ordinal))
        e.table = int(number)
        self.set_row(e, self.plain[id(e)])

    def drop(self, xid):
        gone = self.rows_of(xid)
        self.ledger.packed_rows = [row for row in self.ledger.packed_rows if row not in gone]

    def copy(self, xid, to):
        """As another transaction; a byte of WAL later, before all others."""
        for row in self.rows_of(xid):
            twin = ref.PackedRow(to, row.ordinal, row.body)
            twin.era = row.era
            twin.position += 1
            twin.time += 1
            for e, old in zip(twin.entries, row.entries):
                if id(old) in self.plain:
                    self.plain[id(e)] = self.plain[id(old)]
            self.changed.add(id(twin))
            self.ledger.packed_rows.append(twin)

    def exchange(self, xid, other):
        one, two = self.rows_of(xid), self.rows_of(other)
        places = one[-1].position, one[-1].time, two[-1].position, two[-1].time
        for rows, position, time in ((one, *places[2:]), (two, *places[:2])):
            for row in rows:
                self.set_time(row, time - row.time)
                row.position = position

    def move(self, xid, other):
        before = self.rows_of(other)[0]
        for row in self.rows_of(xid):
            self.set_time(row, before.time - row.time - 1)
            row.position = before.position - 1

    @staticmethod
    def set_time(row, difference):
        row.time += difference
        for e in row.entries:
            e.statement_time += difference

    def time(self, xid, seconds):
        for row in self.rows_of(xid):
            self.set_time(row, int(seconds) * MICROSECONDS)

    def sealed(self, height, seconds):
        self.ledger.blocks[height].time += int(seconds) * MICROSECONDS

    def cut(self, height):
        self.cut_from = height

    def forget(self, height):
        self.cut_from = height
        self.forgotten = True

    def journal(self):
        self.journal_only = True

    # -- all again --

    def pack(self, row):
        before = ref.Entry()
        before.ordinal = row.ordinal - 1
        before.operation = before.table = before.manifest = before.command = 0
        before.statement_time = row.time
        before.role = row.session_role
        before.key_id = ref.NO_ID
        body = b"".join((
            b"\x01" if row.image_seed else b"\x00", ref.varint(row.era_number),
            row.era_id or b"", ref.varint(row.position), ref.u64(row.time),
            ref.counted(row.session_role), row.image_seed or b"",
            ref.varint(len(row.entries))))
        for e in row.entries:
            image = None
            if e.image is not None:
                key = ref.derive(self.ledger.by_id[e.key_id][1], "image")
                image = ref.gcm_seal(ref.hkdf(key, row.image_seed), bytes(4) + ref.u64(e.ordinal),
                                     self.plain[id(e)], ref.u64(row.xid) + ref.u64(e.ordinal))
            body += pack_entry(e, before, image)
            before = e
        row.seed = ref.packed_row_seed(self.ledger.seal_key, self.ledger.id, row.xid, row.ordinal,
                                       b"\x01" + bytes(16) + body)
        row.body = b"\x01" + row.seed + body

    def seal(self):
        """Blocks with the places, snapshots and times that they had."""
        ledger = self.ledger
        ledger.xacts = {}
        for row in ledger.packed_rows:
            if id(row) in self.changed:
                self.pack(row)
            ledger.xacts.setdefault((row.era.id, row.xid), []).append(row)
        for rows in ledger.xacts.values():
            rows.sort(key=lambda row: row.ordinal)
        entries, hashes, blocks, order, lines = [], [], [], {}, {}
        previous = bytes(32)
        gone = []
        for b in ledger.blocks:
            era = ledger.era_numbers[b.era]
            xacts = ledger.xacts_of_block(b, lines)
            if self.cut_from is not None and b.height >= self.cut_from:
                gone += [row for xact in xacts for row in xact]
                continue
            runs = []
            b.first = len(entries)
            for xact in xacts:
                time = max((row.position, row.time) for row in xact)[1]
                last = None
                for e in ledger.in_order(xact):
                    if last is not None and e.ordinal == last + 1:
                        runs[-1][2] += 1
                    else:
                        runs.append([xact[0].xid, e.ordinal, 1, time])
                    last = e.ordinal
                    entries.append(e)
                    hashes.append(ref.leaf_hash(ref.leaf_data(era.id, e)))
            b.count = len(entries) - b.first
            if b.count == 0:
                continue
            order.update(ref.order_rows(b.first, runs))
            b.height = len(blocks)
            blocks.append(b)
        levels = ref.tree_levels(hashes)
        for b in blocks:
            b.previous = previous
            b.root = ref.tree_root(levels, b.first + b.count)
            b.hash = previous = ref.block_hash(ledger.id, ledger.time, b, ledger.era_numbers[b.era].id)
        if self.forgotten:
            sealed = {id(e.row) for e in entries}
            ledger.packed_rows = [row for row in ledger.packed_rows if id(row) in sealed]
        return blocks, order, ref.tiles_of(levels, len(hashes)), ref.lookup_rows(entries)

    def write(self):
        blocks, order, tiles, lookups = self.seal()

        def data(value):
            return "\\\\x" + value.hex()

        def copy(table, columns, rows):
            print(f"DELETE FROM medsync.{table};\nCOPY medsync.{table} ({columns}) FROM stdin;")
            for row in rows:
                print("\t".join("\\N" if value is None else str(value) for value in row))
            print("\\.")

        print("\\set ON_ERROR_STOP on\nBEGIN;")
        copy("_journal", "xid, ordinal, body",
             [(row.xid, row.ordinal or None, data(row.body))
              for row in sorted(self.ledger.packed_rows, key=lambda row: (row.xid, row.ordinal))])
        if self.journal_only:
            print("COMMIT;")
            return
        print("CREATE TEMP TABLE block (height int8, era int4, previous_hash bytea, first_index int8, "
              "entry_count int8, root bytea, snapshot pg_snapshot, sealer_xid xid8, sealed int8, hash bytea);\n"
              "COPY block FROM stdin;")
        for b in blocks:
            print("\t".join(map(str, (b.height, b.era, data(b.previous), b.first, b.count, data(b.root),
                                      b.snapshot, b.sealer, b.time, data(b.hash)))))
        print("\\.\nDELETE FROM medsync._block;\n"
              "INSERT INTO medsync._block (height, era, previous_hash, first_index, entry_count, root, "
              "snapshot, sealer_xid, sealed_at, hash)\n"
              "SELECT height, era, previous_hash, first_index, entry_count, root, snapshot, sealer_xid, "
              "timestamptz '2000-01-01 00:00:00 UTC' + sealed * interval '1 microsecond', hash FROM block;")
        copy("_block_order", "first_index, runs", [(k, data(v)) for k, v in sorted(order.items())])
        copy("_tile", "level, tile, hashes", [(*k, data(v)) for k, v in sorted(tiles.items())])
        copy("_lookup", "kind, segment, chunk, postings", [(*k, data(v)) for k, v in sorted(lookups.items())])
        print("DELETE FROM medsync._checkpoint;\nDELETE FROM medsync._cosignature;\nCOMMIT;")


STEPS = {"role": 2, "value": 4, "bytes": 4, "signed": 2, "digest": 3, "unsigned": 2, "drop": 1, "copy": 2, "move": 2, "exchange": 2,
         "table": 3, "time": 2, "sealed": 2, "cut": 1, "forget": 1,
         "journal": 0}
BY_TRANSACTION = {"copy", "move", "exchange"}


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    past = Past(sys.argv[1], sys.argv[2])
    steps = sys.argv[3:]
    while steps:
        name = steps.pop(0)
        if name not in STEPS:
            sys.exit("unknown step " + name)
        arguments = steps[:STEPS[name]]
        del steps[:STEPS[name]]
        if arguments:
            arguments[0] = int(arguments[0])
        if name in BY_TRANSACTION:
            arguments[1] = int(arguments[1])
        getattr(past, name)(*arguments)
    past.write()


if __name__ == "__main__":
    main()
