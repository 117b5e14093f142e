#!/usr/bin/env python3
"""What an attacker with the signing key could do to exports: forges for tests.

    forge.py vkey NAME KEY [TYPE]           verifier key of a signer key file
    forge.py sign TEXT NOTE NAME KEY        sign the text of a note (new lines)
    forge.py cosign NOTE NAME KEY TIME      add a witness's line to a note
    forge.py log SOURCE TARGET KEY STEP...  a public export with other leaves
    forge.py log-of ENTRIES TARGET ORIGIN KEY [SIZE]
                                            the public export that belongs to a
                                            private one
    forge.py receipt ENTRIES TARGET N ORIGIN KEY
                                            a receipt of an entry of a private
                                            export, and of no row
    forge.py entries SOURCE TARGET STEP...  a private export with other records
    forge.py flips SOURCE DIRECTORY R       one for each byte of a record's payload,
                                            with another bit there
    forge.py list SOURCE                    entries: number, block, xid, operation,
                                            table, command, ordinal

KEY is a signer key file, or 64 hexadecimal digits.  Steps on the leaves of a
log are: flip N, drop N, insert N, copy N M, swap N M, cut N, origin NAME.

Steps on a private export name the Nth record of a type as E5 or B0:

    flip R OFFSET        change a bit of a record's payload
    set R OFFSET HEX     overwrite bytes of it
    append R HEX         lengthen it
    shorten R COUNT
    splice R OFFSET COUNT HEX    other bytes in place of COUNT
    manifest M OLD NEW   change a manifest's text, and what its entry announces
    drop R; copy R R; swap R R; type R CHAR
    field BLOCK NAME VALUE    height era previous_hash first_index entry_count
                              root sealer_xid sealed_at hash snapshot
    rehash               block hashes and the chain as their fields give them
    reseal               counts, indexes and roots too, from the entries
    note FILE            another checkpoint at the end
    keep-digest          leave the last record as it is
    no-end               leave it out
    raw-cut COUNT, raw-append HEX    bytes of the finished file

Python's standard library and the openssl program do it all; nothing here is
shared with the programs under test.
"""

import base64
import hashlib
import os
import struct
import subprocess
import sys
import tempfile

MAGIC = b"medsync-entries v1\n"
DER_PREFIX = bytes.fromhex("302e020100300506032b657004220420")


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


# ---- keys and notes ----


def read_seed(key):
    if os.path.exists(key):
        key = open(key).read().strip().split(":")[1]
    return bytes.fromhex(key)


def openssl(*argument):
    return subprocess.run(
        ("openssl",) + argument, check=True, capture_output=True
    ).stdout


def with_key_file(seed, work):
    with tempfile.TemporaryDirectory() as room:
        path = os.path.join(room, "key.der")
        with open(path, "wb") as file:
            file.write(DER_PREFIX + seed)
        return work(path, room)


def public_key(seed):
    return with_key_file(
        seed,
        lambda path, room: openssl(
            "pkey", "-inform", "DER", "-in", path, "-pubout", "-outform", "DER"
        )[-32:],
    )


def sign(seed, message):
    def work(path, room):
        data = os.path.join(room, "message")
        with open(data, "wb") as file:
            file.write(message)
        return openssl(
            "pkeyutl", "-sign", "-rawin", "-keyform", "DER", "-inkey", path, "-in", data
        )

    return with_key_file(seed, work)


def key_id(name, kind, public):
    return sha256(name.encode(), b"\n", bytes([kind]), public)[:4]


def verifier_key(name, seed, kind):
    public = public_key(seed)
    return "%s+%s+%s" % (
        name,
        key_id(name, kind, public).hex(),
        base64.b64encode(bytes([kind]) + public).decode(),
    )


def signature_line(name, kind, seed, signature):
    identity = key_id(name, kind, public_key(seed))
    return "\u2014 %s %s\n" % (name, base64.b64encode(identity + signature).decode())


def signed_note(text, name, seed):
    return text + "\n" + signature_line(name, 1, seed, sign(seed, text.encode()))


def cosigned(note, name, seed, time):
    text = note[: note.rindex("\n\n") + 1]
    message = "cosignature/v1\ntime %d\n%s" % (time, text)
    signature = struct.pack(">Q", time) + sign(seed, message.encode())
    return note + signature_line(name, 4, seed, signature)


def checkpoint_text(origin, size, root):
    return "%s\n%d\n%s\n" % (origin, size, base64.b64encode(root).decode())


# ---- tree ----


def leaf_hash(leaf):
    return sha256(b"\x00", leaf)


def tree_root(hashes):
    """RFC 6962, section 2.1, as it is written there."""
    if not hashes:
        return sha256()
    if len(hashes) == 1:
        return hashes[0]
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    return sha256(b"\x01", tree_root(hashes[:split]), tree_root(hashes[split:]))


def inclusion(index, hashes):
    """RFC 6962, section 2.1.1, as it is written there."""
    if len(hashes) == 1:
        return []
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    if index < split:
        return inclusion(index, hashes[:split]) + [tree_root(hashes[split:])]
    return inclusion(index - split, hashes[split:]) + [tree_root(hashes[:split])]


def varint(value):
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def tile_name(number):
    text = "%03d" % (number % 1000)
    while number >= 1000:
        number //= 1000
        text = "x%03d/%s" % (number % 1000, text)
    return text


def write_file(path, content):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content)


def write_pieces(directory, folder, pieces):
    for start in range(0, len(pieces), 256):
        part = pieces[start : start + 256]
        name = tile_name(start // 256)
        if len(part) < 256:
            name += ".p/%d" % len(part)
        write_file(os.path.join(directory, "tile", folder, name), b"".join(part))


def write_log(directory, origin, leaves, seed, name=None):
    """A whole export, with the partial tiles of its size only."""
    write_pieces(
        directory,
        "entries",
        [struct.pack(">H", len(leaf)) + leaf for leaf in leaves],
    )
    hashes = [leaf_hash(leaf) for leaf in leaves]
    root = tree_root(hashes)
    level = 0
    while hashes:
        write_pieces(directory, str(level), hashes)
        hashes = [
            tree_root(hashes[start : start + 256])
            for start in range(0, len(hashes) // 256 * 256, 256)
        ]
        level += 1
    note = signed_note(checkpoint_text(origin, len(leaves), root), name or origin, seed)
    write_file(os.path.join(directory, "checkpoint"), note.encode())


def read_log(directory):
    lines = open(os.path.join(directory, "checkpoint"), encoding="utf-8").read().split("\n")
    origin, size = lines[0], int(lines[1])
    leaves = []
    for number in range((size + 255) // 256):
        width = min(256, size - number * 256)
        path = os.path.join(directory, "tile", "entries", tile_name(number))
        if width < 256:
            path += ".p/%d" % width
        data = open(path, "rb").read()
        while data:
            length = struct.unpack(">H", data[:2])[0]
            leaves.append(data[2 : 2 + length])
            data = data[2 + length :]
    return origin, leaves


def flip(data, offset=-1):
    data = bytearray(data)
    data[offset] ^= 1
    return bytes(data)


def forge_log(source, target, key, steps):
    origin, leaves = read_log(source)
    while steps:
        step = steps.pop(0)
        if step == "origin":
            origin = steps.pop(0)
            continue
        n = int(steps.pop(0))
        if step == "flip":
            leaves[n] = flip(leaves[n])
        elif step == "drop":
            del leaves[n]
        elif step == "insert":
            leaves.insert(n, b"\x01" + sha256(b"forged"))
        elif step == "copy":
            leaves.insert(int(steps.pop(0)), leaves[n])
        elif step == "swap":
            m = int(steps.pop(0))
            leaves[n], leaves[m] = leaves[m], leaves[n]
        elif step == "cut":
            del leaves[n:]
        else:
            sys.exit("unknown step " + step)
    write_log(target, origin, leaves, read_seed(key))


# ---- private exports ----

BLOCK = ["height", "era", "previous_hash", "first_index", "entry_count", "root",
         "sealer_xid", "sealed_at", "hash"]
BLOCK_FORMAT = ">QI32sQQ32sQq32s"
BLOCK_SIZE = struct.calcsize(BLOCK_FORMAT)


def read_records(path):
    data = open(path, "rb").read()
    assert data.startswith(MAGIC)
    data = data[len(MAGIC):]
    records = []
    while data:
        kind, length = chr(data[0]), struct.unpack(">I", data[1:5])[0]
        records.append([kind, data[5 : 5 + length]])
        data = data[5 + length :]
    return records


def read_block(payload):
    block = dict(zip(BLOCK, struct.unpack(BLOCK_FORMAT, payload[:BLOCK_SIZE])))
    block["snapshot"] = payload[BLOCK_SIZE:]
    return block


def write_block(block):
    return struct.pack(BLOCK_FORMAT, *(block[name] for name in BLOCK)) + block["snapshot"]


def block_hash(records, block):
    ledger = next(payload for kind, payload in records if kind == "L")
    era_id = b"\0" * 16
    for kind, payload in records:
        if kind == "A" and struct.unpack(">I", payload[:4])[0] == block["era"]:
            era_id = payload[4:20]
    return sha256(
        b"medsync block v1", ledger[:24], struct.pack(">Q", block["height"]),
        block["previous_hash"],
        struct.pack(">QQ", block["first_index"], block["entry_count"]),
        block["root"],
        struct.pack(">Qq", block["sealer_xid"], block["sealed_at"]),
        struct.pack(">I", block["era"]), era_id,
        struct.pack(">I", len(block["snapshot"])), block["snapshot"],
    )


def leaves_of(records):
    return [b"\x01" + sha256(payload) for kind, payload in records if kind == "E"]


def rehash(records, reseal):
    """Give every block the hash, and where asked for the root, of what it has."""
    previous = None
    hashes = []
    end = struct.unpack(">Q", next(p for k, p in records if k == "L")[24:32])[0]
    height = None
    for number, (kind, payload) in enumerate(records):
        if kind != "B":
            continue
        block = read_block(payload)
        if reseal:
            count = 0
            for other, entry in records[number + 1 :]:
                if other != "E":
                    break
                hashes.append(leaf_hash(b"\x01" + sha256(entry)))
                count += 1
            block["first_index"], block["entry_count"] = end, count
            if height is not None:
                block["height"] = height + 1
            block["root"] = tree_root(hashes)
            end += count
            height = block["height"]
        if previous is not None:
            block["previous_hash"] = previous
        block["hash"] = previous = block_hash(records, block)
        records[number][1] = write_block(block)
    if reseal:
        ledger = next(record for record in records if record[0] == "L")
        ledger[1] = ledger[1][:32] + struct.pack(">Q", end)


def place_of(records, name):
    """Where the record named like E5 stands."""
    kind, wanted = name[0], int(name[1:])
    for number, record in enumerate(records):
        if record[0] == kind:
            if wanted == 0:
                return number
            wanted -= 1
    sys.exit("no record " + name)


def set_field(records, name, field, value):
    place = place_of(records, name)
    block = read_block(records[place][1])
    if field == "snapshot":
        block[field] = value.encode()
    elif isinstance(block[field], bytes):
        block[field] = bytes.fromhex(value)
    elif value[0] in "+-":
        block[field] += int(value)
    else:
        block[field] = int(value)
    records[place][1] = write_block(block)


def set_manifest(records, name, old, new):
    record = records[place_of(records, name)]
    text = record[1][8:]
    changed = text.replace(old.encode(), new.encode(), 1)
    assert text != changed
    record[1] = record[1][:8] + changed
    for other in records:
        if other[0] == "E":
            other[1] = other[1].replace(sha256(text), sha256(changed))


def forge_entries(source, target, steps):
    records = read_records(source)
    digest, end = True, True
    raw = []
    while steps:
        step = steps.pop(0)
        if step == "rehash" or step == "reseal":
            rehash(records, step == "reseal")
        elif step == "keep-digest":
            digest = False
        elif step == "no-end":
            end = False
        elif step in ("raw-cut", "raw-append"):
            raw.append((step, steps.pop(0)))
        elif step == "note":
            note = open(steps.pop(0), "rb").read()
            records = [record for record in records if record[0] != "C"]
            records.insert(len(records) - 1, ["C", note])
        elif step == "field":
            name, field, value = steps[:3]
            del steps[:3]
            set_field(records, name, field, value)
        elif step == "manifest":
            set_manifest(records, *steps[:3])
            del steps[:3]
        else:
            place = place_of(records, steps.pop(0))
            record = records[place]
            if step == "flip":
                record[1] = flip(record[1], int(steps.pop(0)))
            elif step == "set":
                offset, value = int(steps.pop(0)), bytes.fromhex(steps.pop(0))
                record[1] = record[1][:offset] + value + record[1][offset + len(value):]
            elif step == "append":
                record[1] += bytes.fromhex(steps.pop(0))
            elif step == "splice":
                offset, count, value = int(steps.pop(0)), int(steps.pop(0)), steps.pop(0)
                record[1] = (record[1][:offset] + bytes.fromhex(value) +
                             record[1][offset + count:])
            elif step == "shorten":
                record[1] = record[1][: len(record[1]) - int(steps.pop(0))]
            elif step == "type":
                record[0] = steps.pop(0)
            elif step == "drop":
                del records[place]
            elif step == "copy":
                records.insert(place_of(records, steps.pop(0)), list(record))
            elif step == "swap":
                other = place_of(records, steps.pop(0))
                records[place], records[other] = records[other], records[place]
            else:
                sys.exit("unknown step " + step)
    write_records(target, records, digest, end, raw)


def list_entries(source):
    block, number = -1, 0
    for kind, payload in read_records(source):
        if kind == "B":
            block += 1
        if kind == "E":
            xid, ordinal = struct.unpack(">QQ", payload[50:66])
            operation, table, _, command = struct.unpack(">BIII", payload[90:103])
            print(number, block, xid, operation, table, command, ordinal)
            number += 1


def write_receipt(source, target, index, origin, key):
    records = read_records(source)
    payload = [entry for kind, entry in records if kind == "E"][int(index)]
    hashes = [leaf_hash(leaf) for leaf in leaves_of(records)]
    salt, entry = payload[:32], payload[32:]
    extra = b"\1" + varint(len(entry)) + entry + salt + b"\0"
    text = "c2sp.org/tlog-proof@v1\nextra %s\nindex %s\n" % (
        base64.b64encode(extra).decode(), index)
    for node in inclusion(int(index), hashes):
        text += base64.b64encode(node).decode() + "\n"
    note = checkpoint_text(origin, len(hashes), tree_root(hashes))
    text += "\n" + signed_note(note, origin, read_seed(key))
    write_file(os.path.abspath(target), text.encode())


def write_flips(source, directory, name):
    os.makedirs(directory)
    records = read_records(source)
    place = place_of(records, name)
    kind, payload = records[place]
    for offset in range(len(payload)):
        records[place] = [kind, flip(payload, offset)]
        write_records(os.path.join(directory, str(offset)), records,
                      kind != "Z", True, [])


def write_records(target, records, digest, end, raw):
    data = MAGIC
    for kind, payload in records:
        if kind == "Z" and not end:
            continue
        if kind == "Z" and digest:
            count = sum(1 for other, _ in records if other == "E")
            payload = struct.pack(">Q", count) + sha256(data)
        data += kind.encode("latin-1") + struct.pack(">I", len(payload)) + payload
    for step, value in raw:
        data = data[: -int(value)] if step == "raw-cut" else data + bytes.fromhex(value)
    with open(target, "wb") as file:
        file.write(data)


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    command, argument = sys.argv[1], sys.argv[2:]
    if command == "vkey":
        print(verifier_key(argument[0], read_seed(argument[1]),
                           int(argument[2]) if len(argument) > 2 else 1))
    elif command == "sign":
        text = open(argument[0], encoding="utf-8").read()
        write_file(os.path.abspath(argument[1]),
                   signed_note(text, argument[2], read_seed(argument[3])).encode())
    elif command == "cosign":
        note = open(argument[0], encoding="utf-8").read()
        note = cosigned(note, argument[1], read_seed(argument[2]), int(argument[3]))
        write_file(os.path.abspath(argument[0]), note.encode())
    elif command == "log":
        forge_log(argument[0], argument[1], argument[2], argument[3:])
    elif command == "log-of":
        leaves = leaves_of(read_records(argument[0]))
        if len(argument) > 4:
            del leaves[int(argument[4]):]
        write_log(argument[1], argument[2], leaves, read_seed(argument[3]))
    elif command == "flips":
        write_flips(*argument)
    elif command == "receipt":
        write_receipt(*argument)
    elif command == "list":
        list_entries(*argument)
    elif command == "entries":
        forge_entries(argument[0], argument[1], argument[2:])
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
