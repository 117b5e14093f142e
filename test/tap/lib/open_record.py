# Opens records of medsync from docs/formats.md alone, and checks the vault's
# statement, with nobody's code but Python's cryptography and PyNaCl.
#
# Reads one JSON object from standard input, bytes in hexadecimal:
#   command      "open", "key", "statement" or "head"
#   private_key  PKCS#8 DER of the holder                  (open)
#   data_key     the data key itself, instead of the above (key)
#   wrapped, algorithm                                     (open)
#   record, version, key_id, patient, length, chunks: list (open, key)
#   vault_key    SubjectPublicKeyInfo DER                  (statement)
#   signature, ledger, record_author, media_type, author, created_at, wraps
#   head_version, revision, head_signature, signatures     (head)
# Prints the content or "holds" in hexadecimal or text, or "does not open".

import hashlib
import json
import struct
import sys

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

RSA = (3, 4, 5)
X25519 = 6
CHUNK = 1 << 20


def u32(n):
    return struct.pack('>I', n)


def u64(n):
    return struct.pack('>Q', n)


def counted(data):
    return u32(len(data)) + data


def unwrap(algorithm, private_key, wrapped):
    key = serialization.load_der_private_key(private_key, None)
    if algorithm in RSA:
        return key.decrypt(wrapped, padding.OAEP(
            padding.MGF1(hashes.SHA256()), hashes.SHA256(), None))
    if algorithm == X25519:
        from nacl.public import PrivateKey, SealedBox
        raw = key.private_bytes(serialization.Encoding.Raw,
                                serialization.PrivateFormat.Raw,
                                serialization.NoEncryption())
        return SealedBox(PrivateKey(raw)).decrypt(wrapped)
    raise SystemExit('unknown algorithm')


def open_chunks(job, key):
    patient = job['patient'].encode()
    aad = (b'medsync record v1' + bytes.fromhex(job['record']) +
           u32(job['version']) + bytes.fromhex(job['key_id']) +
           counted(patient) + u64(job['length']))
    chunks = [bytes.fromhex(chunk) for chunk in job['chunks']]
    assert len(chunks) == max(1, -(-job['length'] // CHUNK))
    content = b''
    for number, chunk in enumerate(chunks):
        last = number == len(chunks) - 1
        nonce = bytes(7) + u32(number) + bytes([last])
        content += AESGCM(key).decrypt(nonce, chunk, aad)
    assert len(content) == job['length']
    return content


def statement(job):
    digest = hashlib.sha256()
    for chunk in job['chunks']:
        digest.update(bytes.fromhex(chunk))
    text = (b'medsync record statement v1\n' + bytes.fromhex(job['ledger']) +
            bytes.fromhex(job['record']) + bytes.fromhex(job['record_author']) +
            u32(job['version']) + counted(job['patient'].encode()) +
            counted(job['media_type'].encode()) + u64(job['length']) +
            bytes.fromhex(job['key_id']) + digest.digest() +
            bytes.fromhex(job['author']) + struct.pack('>q', job['created_at']) +
            u32(len(job['wraps'])))
    for wrap in sorted(job['wraps'], key=lambda w: w['person']):
        wrapped = bytes.fromhex(wrap['wrapped'] or '')
        text += (bytes.fromhex(wrap['person']) +
                 bytes.fromhex(wrap['key'] or '00' * 16) +
                 bytes([wrap['algorithm']]) + struct.pack('>H', len(wrapped)) +
                 wrapped + struct.pack('>q', wrap['granted_at']) +
                 bytes.fromhex(wrap['granted_by']))
    return text


def head(job):
    versions = hashlib.sha256()
    for number, signature in job['signatures']:
        versions.update(u32(number) + bytes.fromhex(signature))
    return (b'medsync record state v1\n' + bytes.fromhex(job['ledger']) +
            bytes.fromhex(job['record']) + u32(job['head_version']) +
            u64(job['revision']) + versions.digest())


def main():
    job = json.load(sys.stdin)
    if job['command'] in ('statement', 'head'):
        name = job['command'] == 'head' and 'head_signature' or 'signature'
        text = head(job) if job['command'] == 'head' else statement(job)
        key = serialization.load_der_public_key(bytes.fromhex(job['vault_key']))
        try:
            key.verify(bytes.fromhex(job[name]), text)
        except InvalidSignature:
            return 'does not hold'
        return 'holds'
    try:
        if job['command'] == 'open':
            key = unwrap(job['algorithm'], bytes.fromhex(job['private_key']),
                         bytes.fromhex(job['wrapped']))
        else:
            key = bytes.fromhex(job['data_key'])
        return open_chunks(job, key).hex()
    except InvalidTag:
        return 'does not open'


print(main())
