// What Node's crypto thinks of medsync's primitives; see interop.py, which
// does the same with the same files.

import crypto from 'node:crypto';
import fs from 'node:fs';

const ours = JSON.parse(fs.readFileSync(process.argv[2]), (_, value) =>
	typeof value === 'string' && value.startsWith('\\x') ? Buffer.from(value.slice(2), 'hex') : value);
const lines = [];

const report = (name, good) => console.log(good ? 'pass' : 'fail', name);
const publicKey = der => crypto.createPublicKey({ key: der, format: 'der', type: 'spki' });
const privateKey = der => crypto.createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
const oaep = (key, label) => ({
	key, padding: crypto.constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256', oaepLabel: label });
const none = Buffer.alloc(0);

function theirs(name, operation, want, ...values) {
	lines.push([name, operation, want, ...values.map(v => '\\\\x' + v.toString('hex'))].join('\t') + '\n');
}

function damaged(data) {
	const copy = Buffer.from(data);
	copy[copy.length - 1] ^= 1;
	return copy;
}

// Ed25519 hashes by itself; P-256 gives r || s if asked.
function scheme(algorithm, key) {
	if (algorithm === 'ed25519')
		return [null, key];
	if (algorithm === 'p-256')
		return ['sha256', { key, dsaEncoding: 'ieee-p1363' }];
	return ['sha256', { key, padding: crypto.constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 }];
}

function verify(algorithm, key, message, signature) {
	const [hash, how] = scheme(algorithm, key);
	return crypto.verify(hash, message, how, signature);
}

function openGcm(sealed, key, aad) {
	const gcm = crypto.createDecipheriv('aes-256-gcm', key, sealed.subarray(1, 13));
	gcm.setAAD(aad);
	gcm.setAuthTag(sealed.subarray(-16));
	return Buffer.concat([gcm.update(sealed.subarray(13, -16)), gcm.final()]);
}

report('AES-GCM: opens ours', openGcm(ours.encrypted, ours.key, ours.aad).equals(ours.message));
const nonce = crypto.randomBytes(12);
const gcm = crypto.createCipheriv('aes-256-gcm', ours.key, nonce);
gcm.setAAD(ours.aad);
const sealed = Buffer.concat([Buffer.from([1]), nonce, gcm.update(ours.message), gcm.final(), gcm.getAuthTag()]);
theirs('AES-GCM', 'decrypt', 'accepted', sealed, ours.key, ours.aad, ours.message);

for (const k of ours.keys) {
	const pub = publicKey(k.public);
	const priv = privateKey(k.private);
	const name = k.algorithm;

	report(`${name}: reads our keys, which belong together`,
		crypto.createPublicKey(priv).export({ format: 'der', type: 'spki' }).equals(k.public));
	if (k.signature) {
		report(`${name}: our signature is right`, verify(name, pub, ours.message, k.signature));
		report(`${name}: but not of another message`, !verify(name, pub, damaged(ours.message), k.signature));
		const [hash, how] = scheme(name, priv);
		const signature = crypto.sign(hash, ours.message, how);
		theirs(`${name} signature`, 'check', 'accepted', ours.message, signature, k.public, none);
		theirs(`${name} signature, damaged`, 'check', 'false', ours.message, damaged(signature), k.public, none);
	}
	if (k.encrypted) {
		report(`${name}: opens ours`, crypto.privateDecrypt(oaep(priv), k.encrypted).equals(ours.short));
		report(`${name}: opens ours with a label`,
			crypto.privateDecrypt(oaep(priv, ours.aad), k.labelled).equals(ours.short));
		theirs(`${name} OAEP`, 'rsa_decrypt', 'accepted',
			crypto.publicEncrypt(oaep(pub), ours.short), k.private, none, ours.short);
		theirs(`${name} OAEP with a label`, 'rsa_decrypt', 'accepted',
			crypto.publicEncrypt(oaep(pub, ours.aad), ours.short), k.private, ours.aad, ours.short);
	}
}

// Web Crypto, as browsers have it
const { subtle } = crypto.webcrypto;
const web = await subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign', 'verify']);
theirs('Web Crypto, P-256 signature', 'check', 'accepted', ours.message,
	Buffer.from(await subtle.sign({ name: 'ECDSA', hash: 'SHA-256' }, web.privateKey, ours.message)),
	Buffer.from(await subtle.exportKey('spki', web.publicKey)), none);

// and keys that Node makes
for (const [type, options] of [['ed25519'], ['x25519'], ['ec', { namedCurve: 'P-256' }], ['rsa', { modulusLength: 2048 }]]) {
	const pair = crypto.generateKeyPairSync(type, options);
	theirs(`${type} pair`, 'public_key', 'accepted', pair.privateKey.export({ format: 'der', type: 'pkcs8' }),
		none, none, pair.publicKey.export({ format: 'der', type: 'spki' }));
}
fs.writeFileSync(process.argv[3], lines.join(''));
