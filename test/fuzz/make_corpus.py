#!/usr/bin/env python3
"""Makes the seed corpus of the fuzz targets: make_corpus.py DIRECTORY.

Every file is made from the formats as they are written down, and from notes
that others published, so that a target begins with inputs that are taken
whole.  The same files come out every time.
"""

import base64
import hashlib
import pathlib
import re
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "vectors"))

import reference

DASH = "\u2014 "
FOO = "example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM="
PETER = "PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
ENOCH = "EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ="
SOFA = "example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8="
WITNESS = "witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA=="
QUASIMODO = "quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc="

SOFA_TEXT = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
PETER_TEXT = ("If you think cryptography is the answer to your problem,\n"
              "then you don't know what your problem is.\n")


def noise(label, size):
    """Bytes that look random."""
    out = b""
    while len(out) < size:
        out += hashlib.sha256(f"{label} {len(out)}".encode()).digest()
    return out[:size]


def b64(data):
    return base64.b64encode(data).decode()


def note(text, *lines):
    return (text + "\n" + "".join(DASH + line + "\n" for line in lines)).encode()


def vkey(name, kind, key):
    material = bytes([kind]) + key
    key_id = hashlib.sha256(name.encode() + b"\n" + material).digest()[:4]
    return f"{name}+{key_id.hex()}+{b64(material)}".encode()


def notes():
    yield "foo", note("This is an example message.\n", FOO)
    yield "two-signatures", note(PETER_TEXT, PETER, ENOCH)
    yield "cosigned", note(SOFA_TEXT, SOFA, WITNESS)
    yield "empty-lines", note("Ognuno sta solo sul cuor della terra\n"
                              "trafitto da un raggio di sole:\n\n"
                              "ed \u00e8 subito sera.\n", QUASIMODO)
    yield "nested", note("text\n\n" + DASH + FOO + "\n", "a AAAAAAA=")
    yield "many", note("text\n", *[f"key{i} {b64(noise(i, 5))}" for i in range(64)])
    yield "long-signature", note("text\n", "pq " + b64(noise("pq", 2424)))
    yield "extensions", note(SOFA_TEXT + "extension + line\n", SOFA)
    yield "checkpoint", SOFA_TEXT.encode()
    yield "checkpoint-empty", b"o\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"
    yield "checkpoint-largest", f"o\n{2**63 - 1}\n{b64(noise('root', 32))}\nx\ny\n".encode()
    yield "checkpoint-overflow", f"o\n{2**64}\n{b64(noise('root', 32))}\n".encode()
    yield "vkey-foo", b"example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
    yield "vkey-witness", vkey("witness.example/w\u00e9", 4, noise("key", 32))
    yield "vkey-longest", vkey("n" * 128, 1, noise("key", 32))
    yield "space", note("text\n", "a\u2003b " + FOO.split()[1])
    yield "not-canonical", note("text\n", "a AAAAAAB=")
    yield "carriage-returns", note("text\n", FOO).replace(b"\n", b"\r\n")
    yield "not-utf8", b"\xc0\xaf\n\n" + DASH.encode() + b"a AAAAAAA=\n"
    yield "no-signature", b"text\n\n"
    yield "empty", b""


def proof(index, hashes, checkpoint, extra=None):
    text = "c2sp.org/tlog-proof@v1\n"
    if extra is not None:
        text += f"extra {b64(extra)}\n"
    text += f"index {index}\n" + "".join(b64(h) + "\n" for h in hashes)
    return text.encode() + b"\n" + checkpoint


def node(left, right):
    return hashlib.sha256(b"\x01" + left + right).digest()


def proofs():
    checkpoint = note(SOFA_TEXT, SOFA)
    hashes = [noise(f"hash {i}", 32) for i in range(65)]
    yield "shortest", proof(0, [], checkpoint)
    yield "extra", proof(20852162, hashes[:5], checkpoint, b"extra data")
    yield "long-extra", proof(7, hashes[:3], checkpoint, noise("extra", 5000))
    yield "longest", proof(2**63 - 1, hashes[:64], note(SOFA_TEXT, SOFA, WITNESS), b"x")
    yield "too-long", proof(1, hashes, checkpoint)
    yield "overflow", proof(2**63, hashes[:2], checkpoint)
    yield "empty-extra", proof(1, hashes[:2], checkpoint, b"")
    yield "no-checkpoint", proof(1, hashes[:2], note("text\n", FOO))
    yield "no-note", proof(1, hashes[:2], b"")

    # a right one: the leaf that the target asks about is all zeros
    root = node(hashes[1], node(bytes(32), hashes[0]))
    text = f"hospital.example\n4\n{b64(root)}\n"
    yield "right", proof(2, hashes[:2], note(text, "hospital.example " + b64(noise("s", 68))))


def varint(value):
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7f | 0x80])
        value >>= 7
    return out + bytes([value])


# docs/formats.md, "Entry": the bits of the full encoding and their sizes
FULL_FIELDS = {6: 16, 7: 16, 8: 32, 9: 32, 12: 0, 13: 16, 14: 48, 15: 32}
DETAIL = 16


def full_entry(bits, operation=1, role=b"app", session_role=b"app", detail=b"", era=None, xid=7,
               ordinal=3, position=0x1500028, table=2, version=1, command=5, object_=None):
    out = b"\x01\x01" + (era or noise("era", 16))
    out += struct.pack(">QQQqq", xid, ordinal, position, 812345678000000, 812345677000000)
    out += struct.pack(">BIIII", operation, table, version, command, sum(1 << bit for bit in bits))
    out += struct.pack(">H", len(session_role)) + session_role
    out += struct.pack(">H", len(role)) + role
    for bit in sorted(set(bits) & set(FULL_FIELDS)):
        out += object_ if bit == 15 and object_ else noise(f"field {bit}", FULL_FIELDS[bit])
    if DETAIL in bits:
        out += struct.pack(">H", len(detail)) + detail
    return out


def packed_row(entries, count=None, era=1, images=False, role=b"app"):
    out = b"\x01" + noise("seed", 16) + (b"\x01" if images else b"\x00") + varint(era)
    if era == 0:
        out += noise("era", 16)
    out += varint(0x1500028) + struct.pack(">q", 812345678000000)
    out += varint(len(role)) + role
    if images:
        out += noise("image seed", 32)
    out += varint(len(entries) if count is None else count)
    return out + b"".join(entries)


def packed_entry(bits, role=b"dr", image=b"", detail=b""):
    out = varint(sum(1 << bit for bit in bits))
    if 0 in bits:
        out += b"\x02"
    if 1 in bits:
        out += varint(300) + varint(1)
    if 2 in bits:
        out += varint(5)
    if 3 in bits:
        out += varint(1999999)
    if 4 in bits:
        out += varint(9)
    if 5 in bits:
        out += varint(len(role)) + role
    for bit in (6, 7, 8, 9):
        if bit in bits:
            out += noise(f"field {bit}", FULL_FIELDS[bit])
    if 10 in bits:
        out += varint(len(image)) + image
    if 11 in bits:
        out += noise("large image", 32) + varint(1000000)
    for bit in (13, 14, 15):
        if bit in bits:
            out += noise(f"field {bit}", FULL_FIELDS[bit])
    if DETAIL in bits:
        out += varint(len(detail)) + detail
    return out


def entries():
    yield "full-plain", full_entry([])
    yield "full-insert", full_entry([6, 7, 9])
    yield "full-everything", full_entry(list(FULL_FIELDS) + [DETAIL], detail=b"detail")
    yield "full-longest-detail", full_entry([DETAIL], operation=13, detail=noise("d", 256))
    yield "full-long-detail", full_entry([DETAIL], detail=noise("d", 257))
    yield "full-no-roles", full_entry([8], operation=5, role=b"", session_role=b"")
    yield "full-packed-bit", full_entry([0, 6])
    first = packed_entry([0, 1, 2, 3, 6, 7, 9])
    yield "packed-one", packed_row([first])
    yield "packed-era", packed_row([packed_entry([0, DETAIL], detail=b"era")], era=0)
    yield "packed-several", packed_row([first, packed_entry([7, 8, 9]), packed_entry([4, 5, 7, 8]),
                                        packed_entry([0, 6, 7, 9, 12])])
    yield "packed-images", packed_row([packed_entry([0, 1, 6, 7, 9, 10], image=noise("image", 40)),
                                       packed_entry([7, 9, 11])], images=True)
    yield "packed-everything", packed_row([packed_entry(
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, DETAIL], detail=b"x")])
    yield "packed-both-images", packed_row([packed_entry([10, 11], image=b"x")], images=True)
    yield "packed-miscounted", packed_row([first], count=2)
    yield "packed-uncountable", packed_row([first], count=2**64 - 1)
    yield "packed-long-role", packed_row([packed_entry([5], role=b"r" * 70000)])
    yield "empty", b""


def documented_values():
    """The canonical values in docs/formats.md."""
    page = pathlib.Path(__file__).parents[2] / "docs" / "formats.md"
    for line in page.read_text().splitlines():
        found = re.fullmatch(r"\| .*` \| `((?:[0-9a-f]{2})+)` \|", line)
        if found:
            yield bytes.fromhex(found[1])


def counted(data):
    return varint(len(data)) + data


# docs/formats.md, "Canonical encoding": a value of each type
VALUES = {
    "boolean": b"b\x01",
    "integer": b"i" + struct.pack(">q", -42),
    "real": b"e" + struct.pack(">f", 1.5),
    "float": b"f" + struct.pack(">d", -0.0),
    "nan": b"f" + bytes.fromhex("7ff8000000000000"),
    "numeric": b"n" + counted(b"-1234.50"),
    "text": b"t" + counted('Gr\u00fc\u00dfe "\\\n'.encode()),
    "bytea": b"y" + counted(b"\x00\xff"),
    "date": b"d" + struct.pack(">i", 8825),
    "date BC": b"d" + struct.pack(">i", -2451545),
    "time": b"h" + struct.pack(">q", 86400000000),
    "timetz": b"H" + struct.pack(">qi", 43200000001, -19800),
    "timestamp": b"S" + struct.pack(">q", -1),
    "timestamptz": b"T" + struct.pack(">q", 2**63 - 1),
    "interval": b"v" + struct.pack(">iiq", -1, 2, -1000000),
    "uuid": b"u" + noise("uuid", 16),
    "jsonb": b"j{k\x01b[zft]k\x02aan" + counted(b"1.50") + b"k\x02abs" + counted(b"x\"y") + b"}",
    "enum": b"E" + counted("gr\u00fcn".encode()),
    "array": b"a\x02\x02\x01\x01\x0a\x01t" + counted(b"NULL") + b"\x00",
    "range": b"r\x02i" + struct.pack(">q", 1) + b"i" + struct.pack(">q", 5),
    "multirange": b"m\x02\x0cn" + counted(b"2.50") + b"\x02n" + counted(b"3") + b"n" + counted(b"4"),
    "composite": b"c\x03\x01i" + struct.pack(">q", 7) + b"\x00\x01t" + counted(b"a,(b)"),
    "output": b"x" + counted(b"192.168.0.1/24"),
}


def nested(depth):
    """An array in an array in an array ..., each of one element."""
    value = b"b\x00"
    for _ in range(depth - 1):
        value = b"c\x01\x01" + value
    return value


def manifest(types, excluded=(), table=2, schema="public", parent=0, partitioned=False, signed=""):
    columns = ",".join('{"number":%d,"name":"%s","type":"%s","excluded":%s}'
                       % (i, name, name, "true" if i in excluded else "false")
                       for i, name in enumerate(types, 1))
    name = "person_key" if schema == "medsync" else "\u00e9 \\\"q\\\""
    return ('{"table":%d,"version":1,"schema":"%s","name":"%s","parent":%d,"tracked":true,'
            '"partitioned":%s,"payload":"full","subject":1,"next_column":%d,"key":[1],%s"columns":[%s]}'
            % (table, schema, name, parent, "true" if partitioned else "false", len(types) + 1, signed,
               columns)).encode()


def row(values):
    return b"".join(varint(number) + value for number, value in values)


def announced(manifest_text, proof_hashes=()):
    return (counted(manifest_text) + struct.pack(">Q", 1) + counted(full_entry([6, 15], operation=9)) +
            noise("ddl salt", 32) + bytes([len(proof_hashes)]) + b"".join(proof_hashes))


def opening(entry, row_bytes=None, manifest_text=None, proof_hashes=(), version=1, signer=None):
    flags = (row_bytes is not None) | (manifest_text is not None) << 1 | (signer is not None) << 2
    out = bytes([version]) + counted(entry) + noise("salt", 32) + bytes([flags])
    if row_bytes is not None:
        out += noise("r", 32) + counted(row_bytes)
    if manifest_text is not None:
        out += announced(manifest_text, proof_hashes)
    return out + (signer or b"")


KEY_ID, LEDGER_ID, SIGNER_SEED = noise("key id", 16), noise("ledger id", 16), noise("signer", 32)
SIGNED = '"signer":2,"signature":3,'
SIGNED_COLUMNS = ["id", "signer", "signature", "what"]
KEY_COLUMNS = ["id", "person", "algorithm", "public_key", "valid_from", "valid_until", "revoked_at"]


def signed_row(table, columns=(1, 2, 4)):
    """A row with an Ed25519 signature for a table of these column numbers."""
    values = b"i" + struct.pack(">q", 7), b"u" + KEY_ID, b"t" + counted(b"dose")
    message = (b"medsync row signature v1\n" + LEDGER_ID + struct.pack(">I", table) + KEY_ID +
               row(sorted(zip(columns, values))))
    signature = reference.ed25519_sign(SIGNER_SEED, message)
    return row([(1, values[0]), (2, values[1]), (3, b"y" + counted(signature)), (4, values[2])])


def key_opening(algorithm=b"ed25519", schema="medsync", **more):
    der = reference.SPKI_ED25519 + reference.ed25519_public(SIGNER_SEED)
    values = [b"u" + KEY_ID, b"u" + noise("person", 16), b"t" + counted(algorithm), b"y" + counted(der),
              b"T" + struct.pack(">q", 0), b"T" + struct.pack(">q", 2**62)]
    return opening(full_entry([6, 7, 9], table=3), row(list(enumerate(values, 1))),
                   manifest(KEY_COLUMNS, table=3, schema=schema), **more)


def signer(key, parents=()):
    return (LEDGER_ID + struct.pack(">QII", 7710576262144088999, 1, 16384) + bytes([len(parents)]) +
            b"".join(map(announced, parents)) + struct.pack(">Q", 2) + b"\0" + counted(key))


def signed_receipts():
    entry = full_entry([6, 7, 9, 13, 14, 16], detail=b'{"kind":"practitioner"}')
    own = manifest(SIGNED_COLUMNS, signed=SIGNED)
    yield "signed", opening(entry, signed_row(2), own, signer=signer(key_opening()))
    part = manifest(SIGNED_COLUMNS, signed=SIGNED, parent=8)
    middle = manifest(SIGNED_COLUMNS, signed=SIGNED, table=8, parent=7, partitioned=True)
    root = manifest(["what", "id", "signature", "signer"], table=7, partitioned=True, signed='"signer":4,"signature":3,')
    yield "signed-partition", opening(entry, signed_row(7, (2, 4, 1)), part,
                                      signer=signer(key_opening(), [middle, root]))
    yield "signed-17-parents", opening(entry, signed_row(2), own, signer=signer(key_opening(), [middle] * 17))
    yield "signed-without-signer", opening(entry, signed_row(2), own)
    yield "signed-not-demanded", opening(entry, signed_row(2), manifest(SIGNED_COLUMNS), signer=signer(key_opening()))
    yield "signed-without-row", opening(entry, None, own, signer=signer(key_opening()))
    yield "signed-unknown-algorithm", opening(entry, signed_row(2), own, signer=signer(key_opening(b"rot13")))
    yield "signed-other-table", opening(entry, signed_row(2), own, signer=signer(key_opening(schema="public")))
    nested = b""
    for _ in range(3):
        nested = key_opening(signer=signer(nested or key_opening()))
    yield "signed-nested", opening(entry, signed_row(2), own, signer=signer(nested))


def receipts():
    yield from signed_receipts()
    entry = full_entry([6, 7, 9])
    hashes = [noise(f"hash {i}", 32) for i in range(3)]
    yield "entry-only", opening(full_entry([6, 7, 8], operation=5))
    yield "unknown-operation", opening(full_entry([6], operation=200))
    yield "role-not-utf8", opening(full_entry([6], role=b"\xff\x00"))
    yield "manifest-only", opening(full_entry([6, 15], operation=9), None, manifest(["id"]), hashes)
    yield "small", opening(entry, row([(1, VALUES["integer"]), (2, VALUES["text"])]),
                           manifest(["id", "name", "note"]), hashes)
    for name in ("array", "multirange", "jsonb"):
        yield "value-" + name, opening(entry, row([(1, VALUES[name])]), manifest([name]))
    yield "every-value", opening(entry, row(list(enumerate(VALUES.values(), 1))), manifest(VALUES))
    yield "excluded", opening(entry, row([(1, VALUES["integer"]), (3, VALUES["text"])]),
                              manifest(["id", "secret", "name"], excluded=[2]))
    yield "deepest", opening(entry, row([(1, nested(250))]), manifest(["deep"]))
    yield "too-deep", opening(entry, row([(1, nested(251))]), manifest(["deep"]))
    yield "not-in-order", opening(entry, row([(2, VALUES["text"]), (1, VALUES["integer"])]),
                                  manifest(["id", "name"]))
    yield "no-manifest", opening(entry, row([(1, VALUES["integer"])]))
    yield "version-2", opening(entry, version=2)
    yield "text", proof(1, hashes, note(SOFA_TEXT, SOFA),
                        opening(entry, row([(1, VALUES["integer"])]), manifest(["id"]), hashes))
def canonicals():
    for nth, value in enumerate(documented_values()):
        yield f"documented-{nth:02}", b"\0" + value
    integer = b"i" + struct.pack(">q", 7)
    text = b"t" + counted(b'a"b\\c')
    deep = text
    for _ in range(12):
        deep = b"c\x02\x01" + deep + b"\x00"
        deep = b"r\x0a" + deep
    yield "range-of-composite", b"\0" + deep
    yield "too-deep", b"\0" + b"c\x01\x01" * 251 + b"b\x01"
    yield "multirange-of-text", b"\0m\x02\x02" + text + text + b"\x04" + text + text
    yield "array-of-two-dimensions", b"\0a\x02\x02\x02\x03\x01" + (b"\x01" + text + b"\x00\x01" + integer) * 2
    yield "infinite-interval", b"\0v" + struct.pack(">iiq", 2**31 - 1, 2**31 - 1, 2**63 - 1)
    yield "least-interval", b"\0v" + struct.pack(">iiq", -2**31, 0, -2**63)
    yield "last-day", b"\0d" + struct.pack(">i", 2147483494 - 2451545 - 1)
    yield "first-day", b"\0d" + struct.pack(">i", -2451545)
    yield "row", b"\1\x01" + integer + b"\x02" + text + b"\x03t\x01c"
    yield "row-of-nulls", b"\1"
    yield "row-excluded", b"\1\x05" + text
    yield "row-twice", b"\1\x01" + integer + b"\x01" + integer


MANIFEST = (
    '{"table":1,"version":1,"schema":"public","name":"patient","parent":0,"tracked":true,"partitioned":false,'
    '"payload":"full","subject":1,"next_column":4,"key":[1,2],"columns":['
    '{"number":1,"name":"id","type":"integer","excluded":false},'
    '{"number":2,"name":"a \\"b\\" \\\\ \\u0001\\n\u00e9","type":"pg_catalog.text","excluded":false},'
    '{"number":3,"name":"seen","type":"timestamp with time zone","excluded":true}]}')


def manifests():
    yield "right", MANIFEST.encode()
    yield "no-columns", re.sub(r'"key":.*', '"key":[],"columns":[]}', MANIFEST).encode()
    yield "hash", MANIFEST.replace("full", "hash").encode()
    yield "blank", MANIFEST.replace(",", ", ").encode()
    yield "escaped", MANIFEST.replace("patient", "\\u0070atient").encode()
    yield "large-number", MANIFEST.replace('"table":1', '"table":2147483648').encode()
    yield "deep", b"[" * 100000
    yield "not-utf8", MANIFEST.encode("latin-1")
    yield "empty", b""


# in the order of fuzz_text.c
(BOOL, INTEGER, FLOAT4, FLOAT8, NUMERIC, TEXT, BYTEA, DATE, TIME, TIMETZ, TIMESTAMP, TIMESTAMPTZ, INTERVAL, UUID, JSONB,
 ENUM, CHAR, OUTPUT, INTEGERS, TEXTS, BOXES, TEXT_RANGE, TIME_RANGE, TIME_MULTIRANGE, PAIR, NESTED, NESTED_ARRAY,
 EMPTY) = range(28)

PRINTED = (
    (BOOL, "t"), (INTEGER, "-9223372036854775808"), (INTEGER, "9223372036854775808"), (FLOAT4, "1e-45"), (FLOAT4, "NaN"),
    (FLOAT8, "-1.7976931348623157e+308"), (FLOAT8, "-Infinity"), (NUMERIC, "-1234.5600"), (NUMERIC, "Infinity"),
    (TEXT, "\u00e4\u65e5"), (BYTEA, "\\x00ff5c27"), (DATE, "4714-11-24 BC"), (DATE, "5874897-12-31"), (DATE, "infinity"),
    (TIME, "24:00:00"), (TIME, "04:05:06.789"), (TIMETZ, "12:00:00.5+05:30:01"), (TIMESTAMP, "294276-12-31 23:59:59.999999"),
    (TIMESTAMPTZ, "4714-11-24 00:00:00+00 BC"), (TIMESTAMPTZ, "-infinity"),
    (INTERVAL, "-1 years -2 mons +3 days -04:05:06.789"), (INTERVAL, "-2562047788:00:54.775808"),
    (INTERVAL, "178956970 years 7 mons"), (UUID, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    (JSONB, '{"a": [1.50, null, true, "\\u00e9\\n"], "bb": {}}'), (JSONB, "[" * 300 + "]" * 300), (JSONB, "-0.0010"),
    (ENUM, "gr\u00fcn"), (CHAR, "\\377"), (OUTPUT, "<(0.1,-0),1e+300>"), (INTEGERS, "{1,NULL,-3}"),
    (INTEGERS, "[2:2][-1:0]={{1,2}}"), (INTEGERS, "{{{{{{1}}}}}}"), (INTEGERS, "{}"),
    (TEXTS, '{"NULL",NULL,"a,b","{c}","\\"","\\\\",""}'), (BOXES, "{(1,1),(0,0);(2,2),(1,1)}"), (TEXT_RANGE, '["a ""b""\\\\",)'),
    (TEXT_RANGE, '["",b)'), (TEXT_RANGE, "empty"), (TIME_RANGE, '["2024-02-03 02:05:06+00","2024-02-04 02:05:06+00")'),
    (TIME_MULTIRANGE, '{(,"2024-02-03 02:05:06+00"),["2024-02-04 02:05:06+00",)}'), (TIME_MULTIRANGE, "{}"),
    (PAIR, '(7,"a ""quoted"" \\\\ text")'), (PAIR, '(,"")'), (PAIR, "(,)"),
    (NESTED, '("{a,""b c"",NULL}","[a,b)","(1,x)","{""k"": [1, 2]}")'),
    (NESTED_ARRAY, '{NULL,"(,,,)","(\\"{\\"\\"x y\\"\\"}\\",empty,\\"(1,)\\",null)"}'), (EMPTY, "()"))


def texts():
    for nth, (kind, text) in enumerate(PRINTED):
        yield f"printed-{nth:02}", bytes([kind]) + text.encode()
    yield "char-byte", bytes([CHAR, 0xC8])
    yield "long", bytes([TEXTS]) + b'{"' + b"\\\\" * 3000 + b'",' + b"x" * 3000 + b"}"
    yield "empty", b""


def record(kind, payload=b""):
    return kind.encode() + struct.pack(">I", len(payload)) + payload


def leaf_hash(payload):
    leaf = b"\x01" + hashlib.sha256(payload).digest()
    return hashlib.sha256(b"\x00" + leaf).digest()


def tree_root(leaves):
    """RFC 6962, section 2.1."""
    if len(leaves) < 2:
        return leaves[0] if leaves else hashlib.sha256(b"").digest()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return node(tree_root(leaves[:k]), tree_root(leaves[k:]))


class Export:
    """A private export that is right, unless it is made wrong."""

    CREATED = 812345600000000
    SYSTEM = (0x6512bd43d9caa6e0, 1, 16384)

    def __init__(self, size, start=0):
        self.ledger = noise("ledger", 16)
        self.era = hashlib.sha256(self.ledger + struct.pack(">QII", *self.SYSTEM)).digest()[:16]
        self.out = b"medsync-entries v1\n"
        self.out += record("L", self.ledger + struct.pack(">qQQ", self.CREATED, start, size))
        self.out += record("A", struct.pack(">I", 1) + self.era + b"\x01" + struct.pack(">QII", *self.SYSTEM))
        self.leaves = []
        self.height = 0
        self.previous = bytes(32)
        self.records = 0

    def entry(self, bits, **more):
        return noise(f"salt {more}", 32) + full_entry(bits, era=self.era, **more)

    def era_entry(self):
        return self.entry([DETAIL], operation=13, xid=5, ordinal=0, table=0, version=0, command=0,
                          detail=struct.pack(">IQII", 1, *self.SYSTEM))

    def manifest(self, text, table=2, version=1):
        self.out += record("M", struct.pack(">II", table, version) + text)
        return self.entry([6, 15], operation=9, xid=6, ordinal=0, command=0,
                          object_=hashlib.sha256(text).digest())

    def block(self, snapshot, sealer, *entries):
        first = len(self.leaves)
        self.leaves += [leaf_hash(entry) for entry in entries]
        root = tree_root(self.leaves)
        sealed = self.CREATED + self.height
        digest = hashlib.sha256(
            b"medsync block v1" + self.ledger + struct.pack(">qQ", self.CREATED, self.height)
            + self.previous + struct.pack(">QQ", first, len(entries)) + root
            + struct.pack(">QqI", sealer, sealed, 1) + self.era
            + struct.pack(">I", len(snapshot)) + snapshot).digest()
        self.out += record("B", struct.pack(">QI", self.height, 1) + self.previous
                           + struct.pack(">QQ", first, len(entries)) + root
                           + struct.pack(">Qq", sealer, sealed) + digest + snapshot)
        for entry in entries:
            self.out += record("E", entry)
        self.records += len(entries)
        self.previous = digest
        self.height += 1

    def checkpoint(self):
        """Without signatures: the target signs it in mode live."""
        text = f"hospital.example/ledger\n{len(self.leaves)}\n{b64(tree_root(self.leaves))}\n"
        self.out += record("C", text.encode())

    def end(self):
        digest = hashlib.sha256(self.out).digest()
        return self.out + record("Z", struct.pack(">Q", self.records) + digest)


def exports():
    export = Export(size=0)
    yield "no-blocks", export.end()

    export = Export(size=5)
    ddl = export.manifest(manifest(["id", "name"]))
    export.block(b"7:7:", 7, export.era_entry(), ddl)
    export.block(b"8:12:9,11", 12, export.entry([6, 7, 9], xid=8, ordinal=0, command=1),
                 export.entry([6, 7, 8, 9], operation=2, xid=8, ordinal=1, command=2),
                 export.entry([7, 8], operation=5, xid=10, ordinal=0, command=1, position=0x1500030))
    whole = export.out
    export.out += record("U", export.entry([9], xid=11, ordinal=0))
    export.checkpoint()
    yield "whole", export.end()
    yield "cut", whole[:-40]
    export.out = whole
    export.checkpoint()
    export.checkpoint()
    yield "two-checkpoints", export.end()
    export.out = whole + record("C", note(SOFA_TEXT, SOFA))
    yield "stranger", export.end()

    export = Export(size=3)
    signer = vkey("hospital.example/ledger", 1, noise("key", 32)) + b"\nlost"
    export.block(b"8:8:", 8, export.era_entry(),
                 export.entry([DETAIL], operation=15, xid=6, ordinal=0, table=0, version=0, command=0, detail=signer),
                 export.entry([DETAIL], operation=15, xid=8, ordinal=0, table=0, version=0, command=0, detail=b"?"))
    yield "signers", export.end()

    export = Export(size=2)
    export.block(b"7:7:", 7, export.entry([6, 15], operation=9, xid=6, table=3, version=2), export.era_entry())
    yield "unannounced", export.end()

    export = Export(size=4, start=2)
    export.leaves = [noise(f"leaf {i}", 32) for i in range(2)]
    export.height = 1
    export.block(b"9:9:", 9, export.entry([9], xid=7), export.entry([9], xid=8))
    yield "from-the-middle", export.end()

    yield "unknown-record", Export(size=0).out + record("X")
    yield "long-record", Export(size=0).out + b"M" + struct.pack(">I", 2**31) + b"x"
    yield "magic", b"medsync-entries v1\n"
    yield "empty", b""


# Keys, signatures of b"message" and a wrapped key, as OpenSSL and libsodium made them
KEY_MATERIAL = {
    "ed25519 public": "MCowBQYDK2VwAyEAoxuHj0J2QaLkxZSglJU4gpmY5eFlk7t030fH0YFEi48=",
    "ed25519 private": "MC4CAQAwBQYDK2VwBCIEIOPOm3Li1luQ05MrR1tJt3PBPR8uFsRkAaLnSB/i6kjG",
    "p-256 public":
        "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE0D/HdquKdUFDvTZ9ENFwj7r0bw9NDs3hrElDpfXz6rRdDfKiVDc9H245azPF"
        "0uSiERP/XJ+GMHjdw9ePSRDM6Q==",
    "p-256 private":
        "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgQjRbOhdElL5QOa4E35rvZ0JBFoJZntrgRDssTym8Bu6hRANC"
        "AATQP8d2q4p1QUO9Nn0Q0XCPuvRvD00OzeGsSUOl9fPqtF0N8qJUNz0fbjlrM8XS5KIRE/9cn4YweN3D149JEMzp",
    "rsa-2048 public":
        "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAmTWwW5UgwHPd+6wLZK92J3ErFwD5DOS0/fvbTULG0m6bLRFu7ub4"
        "oXXwRTyF6VqV6km9s5juYloZjGEEimUyHVg5JAQszjSqfYzqZ5JWwp9PPqYhK6AQBWeOQn46IPNamzuWtA/zVYA6E+i5LhMA"
        "MgMh2G4svbzWLlYNDq1NPL6Fp1sWe+Ax9YV3KOYLpG0/j9IC8aBWsFYB7r5Ugum9LzC2lX/BjDEcRvxwZ2B3f0XFGgTQjmw2"
        "Sk9hyVRgezraAfOqwEBNJxbDj5Yi4YqNc4Z3VKGNy0i2iASeUMfojLdPDCYSZ5eGVxXNS8+jUTMNEU4f+ZDz7DbVYLBl2H7i"
        "1QIDAQAB",
    "rsa-2048 private":
        "MIIEvgIBADANBgkqhkiG9w0BAQEFAASCBKgwggSkAgEAAoIBAQCZNbBblSDAc937rAtkr3YncSsXAPkM5LT9+9tNQsbSbpst"
        "EW7u5vihdfBFPIXpWpXqSb2zmO5iWhmMYQSKZTIdWDkkBCzONKp9jOpnklbCn08+piEroBAFZ45Cfjog81qbO5a0D/NVgDoT"
        "6LkuEwAyAyHYbiy9vNYuVg0OrU08voWnWxZ74DH1hXco5gukbT+P0gLxoFawVgHuvlSC6b0vMLaVf8GMMRxG/HBnYHd/RcUa"
        "BNCObDZKT2HJVGB7OtoB86rAQE0nFsOPliLhio1zhndUoY3LSLaIBJ5Qx+iMt08MJhJnl4ZXFc1Lz6NRMw0RTh/5kPPsNtVg"
        "sGXYfuLVAgMBAAECggEADhP23pN3bPe4oBWQ/nF5A+rMMNLwD5U8ZFIuNo06Q7/SFnQRo3YpxnxV1abYDzc5q0uXWNdmoDbz"
        "Pgj0J9tgnX2r0nlnvJLuT5cROu8hdcS5vWH6jk2o6zY2xjlfEgQKgVUaZfVJQMQFkirCSU+Jpw7On1qQVebyL1PM41pdTIV4"
        "xdJXndgosM4CRHuTS0bZWsFK2wycJm8Zk9BPUMf6SaJVIjfpn0shHIfFA+OxRoiybRNkLd3AgpEtYlURcKOW85PktdV1zHw+"
        "ioRZPPvcX3OdfO+vm0lulAqwfOtXOt3KmubcHbyUMs6vMMIJrCHHCjaZq4EYPtubn64cI9EigQKBgQDQDN5DLWvjdHK1RRD/"
        "Imss5Mwus2Nw6gJ1jkyLc0JXrmB2i309Op8M7/kAviTD7a9lRS0HGk1IOtbnLdxAiGWxcKl+IIcxqaeyulrdJzVwZ6cQtME4"
        "Xw7qXM7g5gzpXhjJ8JX8zBB/4um1KcJpyQApU376832t/N0ns2wImTZR8QKBgQC8hS9PQo+Tam2DzaX01esXGyOEpfynv+WH"
        "qWXVmRQtvtpVx/0VDyMBJ9+/FfIbteSNqu9enO8hvXAmHd+FTob0vWFJtoBp4devBpdcdP4/reyf0hL7xMYshUdm4a7VFm3+"
        "vnyn/UXRAFXXB7pPdduFywC3mLR8GIHJw6OYmGq7JQKBgCarTaBkz9m96hghFzCkoBD/EahYdVImXICnCzkcGieb5JgEAyof"
        "PDK2Y6ysqr6z7da/zce1LsoPDaR4VKi18VjSnN4xg49Kfj3s/zh9siQLT/T986/bkzUiPN12RM4XTDo0elw7PZHXhiLC+Tya"
        "PGpx93cDTMfK6PwZECpk98CxAoGBAJWMfeQ9ZBJIakoVmGIqVM1GnR18Y3pbc2T0D7GrNuO3NBK6jFzpXhZroEZAzYgH+iAc"
        "CrmeeuDkG5RRPGDO06ZQmV3VZfcYznWtH+Obd5niigSarK6HAcKNk//cZknp+iYMzGyjMYBD6NSk77pbP2LakF4UyJBtDICX"
        "Ly89MeX1AoGBAJygnsOUbS+arPsdppr15c+ABbCC9Ttik6ON5uldws8oBUkeHLRBkMT0fFLcVv/AEphWuuWQ7qu0cxPtZ06M"
        "ArZ6necDO2rwDvskiakIJaJh2sEQf/xohBe+zrvymb/HujKLYz55C1ZIMWy7Iu0qo76LELBl03QgsLJoluCFLjX8",
    "x25519 public": "MCowBQYDK2VuAyEACSVVwEQJy1zCzmBJcjrHtYjDlQPgt5bVJ7gDdTHGY2Q=",
    "x25519 private": "MC4CAQAwBQYDK2VuBCIEIKgjgyik5Al78DXAamP2ZOhc+wnrtXYUAwqoOy2PrNFx",
    "ed25519 signature": "7Y8V2Ph9iMI++Pztf6wjV4Qp4DM/UBMATDrB8wpapKNyfvWju776ka1mK8T5REe6uA5PotcgyHtkSEj18QwNDA==",
    "p-256 signature": "2KOxhjMb9r07HrPKTGt2SGrADYvFjfZJKeMfo4gY3jiEWmodzqCZv2a6Dp85jAh2I/rbQHHT9jpJfpdzAtJCNw==",
    "p-256 der":
        "MEYCIQDYo7GGMxv2vTses8pMa3ZIasANi8WN9kkp4x+jiBjeOAIhAIRaah3OoJm/ZroOnzmMCHYj+ttAcdP2Okl+l3MC0kI3",
    "rsa-2048 signature":
        "AqV7eu6eXNxEGXTuOGP6xCLLQje7on/tjx8LrZv99ZML9I2lmuKJqW6JiYeE9zv50JfKLCElh7fwvYwAGATFutjmfxhFhdqp"
        "MBj2NYBzVPMOq5nTcFtUCcuz9EcJOeoD/vn6bkhXh2yM76d52xkYv6JYBfcZyVTpkeOVhIT7bsnpZjNDoY5TuO4uMSiCk5/n"
        "8mcD+sObBciG1WJxoTaI2DXKIUYo7tlRgAxAfTWFLgcQkV6dj426/RyE5+2emo4L/vse0Y/eKb906c7QWV1CxcK6Xyc3JopF"
        "9afWJBd4AZeN9X6aYwnMPH0irjS5rbBJevtXHr+foDsEpRWILkjiQA==",
    "p-256 explicit":
        "MIIBSzCCAQMGByqGSM49AgEwgfcCAQEwLAYHKoZIzj0BAQIhAP////8AAAABAAAAAAAAAAAAAAAA////////////////MFsE"
        "IP////8AAAABAAAAAAAAAAAAAAAA///////////////8BCBaxjXYqjqT57PrvVV2mIa8ZR0GsMxTsPY7zjw+J9JgSwMVAMSd"
        "NgiG5wSTamZ44ROdJreBn36QBEEEaxfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54WK84z"
        "V2sxXs7LtkBoN79R9QIhAP////8AAAAA//////////+85vqtpxeehPO5ysL8YyVRAgEBA0IABA1UOsGmUE0BAH66L9QxaVlV"
        "gU4MUNXfJYfP/FV11YvjSz7a1oWzDMcHl1eNx68s2Hpl4ahQmfGug4YxnrAvocg=",
    "p-384 public":
        "MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEWKilN+635e2kuF0S/0u8IzHul2DURDjzvo5VTvLuBBAkUKXAOMqMgfi+mNxW3F5S"
        "WyAs1RP6aRsGcJ8o40ct6HvFFWVzY6d4fzImkAlxmLKhIrSYvG7cXvkRAU5hX3lv",
    "wrapped":
        "sj5MEgwdw3ad613wJ6N6z1945JJI1FHkJFYi06F2RFHh6J0SFN0SeCqHIYCfjI3wCdXlrLoAESyHqGjZ1kzgS9kil1W3HH40"
        "nf9cNPeZTAQ=",
}


def keys():
    made = {name: base64.b64decode(text) for name, text in KEY_MATERIAL.items()}

    def public(der, signature=b""):
        return b"p" + struct.pack(">H", len(der)) + der + signature

    for algorithm in ("ed25519", "p-256", "rsa-2048"):
        yield "public-" + algorithm, public(made[algorithm + " public"], made[algorithm + " signature"])
        yield "private-" + algorithm, b"s" + made[algorithm + " private"]
    yield "public-x25519", public(made["x25519 public"])
    yield "private-x25519", b"s" + made["x25519 private"]
    # RFC 5915 lets the public key be left out
    short = made["p-256 private"][3:36 + 32].replace(b"\x04\x6d\x30\x6b", b"\x04\x27\x30\x25", 1)
    yield "private-p-256-short", b"s\x30\x41" + short
    yield "public-explicit", public(made["p-256 explicit"])
    yield "public-p-384", public(made["p-384 public"])
    yield "public-small-order", public(made["ed25519 public"][:12] + b"\x01" + bytes(31), bytes(64))
    yield "signature-der", b"e" + made["p-256 der"]
    yield "wrapped", b"w" + made["wrapped"]
    yield "empty", b""


def main():
    directory = pathlib.Path(sys.argv[1])
    for target, files in (("note", notes), ("proof", proofs), ("entry", entries), ("receipt", receipts),
                          ("canonical", canonicals), ("manifest", manifests), ("text", texts),
                          ("export", exports), ("key", keys)):
        (directory / target).mkdir(parents=True, exist_ok=True)
        for name, data in files():
            (directory / target / name).write_bytes(data)


if __name__ == "__main__":
    main()
