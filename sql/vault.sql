-- What the vault's primitives refuse, with SQLSTATE and text: keys that are
-- malformed, of another kind, too small or not sound; ciphertexts that were
-- altered; arguments of a wrong size.  And what they give for nothing at all.
-- Wycheproof's vectors are in test/tap/025, other programs in 026.
SET client_min_messages = error;
CREATE EXTENSION IF NOT EXISTS medsync;
CREATE SCHEMA vault;
SET search_path = vault;
\pset format unaligned
\pset tuples_only on

-- What a query gives: its value, or how it was refused.
CREATE FUNCTION said(query text, VARIADIC arguments bytea[]) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	result text;
	detail text;
	hint text;
BEGIN
	EXECUTE 'SELECT ' || query INTO result
		USING arguments[1], arguments[2], arguments[3];
	RETURN coalesce(result, 'null');
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL,
		hint = PG_EXCEPTION_HINT;
	RETURN format('%s: %s', SQLSTATE, SQLERRM)
		|| coalesce(E'\n  DETAIL: ' || nullif(detail, ''), '')
		|| coalesce(E'\n  HINT: ' || nullif(hint, ''), '');
END
$$;

-- The same, with the size instead of bytes that are random.
CREATE FUNCTION size_of(query text, VARIADIC arguments bytea[]) RETURNS text
LANGUAGE sql AS $$
	SELECT CASE WHEN answer ~ '^\\x' THEN length(answer) / 2 - 1 || ' bytes' ELSE answer END
	FROM said(query, VARIADIC arguments) AS answer
$$;

-- Some bytes, of which the last has bits changed.
CREATE FUNCTION altered(data bytea, bits int DEFAULT 1) RETURNS bytea
LANGUAGE sql IMMUTABLE AS $$
	SELECT set_byte(data, length(data) - 1, get_byte(data, length(data) - 1) # bits)
$$;
CREATE FUNCTION repeated(bytes bytea, times int) RETURNS bytea
LANGUAGE sql IMMUTABLE AS $$
	SELECT decode(repeat(encode(bytes, 'hex'), times), 'hex')
$$;

--
-- Writing keys in DER, so that they can be written wrongly
--
CREATE FUNCTION tlv(tag bytea, content bytea) RETURNS bytea
LANGUAGE sql IMMUTABLE AS $$
	SELECT tag || CASE
		WHEN length(content) < 128 THEN substr(int4send(length(content)), 4)
		WHEN length(content) < 256 THEN '\x81' || substr(int4send(length(content)), 4)
		ELSE '\x82' || substr(int4send(length(content)), 3) END || content
$$;
CREATE FUNCTION number(value bytea) RETURNS bytea
LANGUAGE sql IMMUTABLE AS $$
	SELECT tlv('\x02', CASE WHEN get_byte(value, 0) >= 128 THEN '\x00' || value ELSE value END)
$$;
CREATE FUNCTION rsa_public(numbers bytea, algorithm bytea DEFAULT '\x300d06092a864886f70d0101010500')
RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
	SELECT tlv('\x30', algorithm || tlv('\x03', '\x00' || tlv('\x30', numbers)))
$$;
CREATE FUNCTION rsa_private(n bytea, d bytea, p bytea, q bytea, dp bytea, dq bytea, qinv bytea,
	version bytea DEFAULT '\x00', attributes bytea DEFAULT '')
RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
	SELECT tlv('\x30', number(version) || '\x300d06092a864886f70d0101010500'
		|| tlv('\x04', tlv('\x30', '\x020100' || number(n) || '\x0203010001' || number(d)
			|| number(p) || number(q) || number(dp) || number(dq) || number(qinv)))
		|| attributes)
$$;
CREATE FUNCTION p256_private(scalar bytea, rest bytea DEFAULT '') RETURNS bytea
LANGUAGE sql IMMUTABLE AS $$
	SELECT tlv('\x30', '\x020100301306072a8648ce3d020106082a8648ce3d030107'
		|| tlv('\x04', tlv('\x30', '\x020101' || tlv('\x04', scalar) || rest)))
$$;

-- Keys that openssl made for this test: the numbers of RSA keys of 2048 and
-- 1024 bits, a P-256 key, points of the other curves
CREATE TABLE rsa (bits int, n bytea, d bytea, p bytea, q bytea, dp bytea, dq bytea, qinv bytea);
INSERT INTO rsa VALUES
	(2048,
	 '\x9935b05b9520c073ddfbac0b64af7627712b1700f90ce4b4fdfbdb4d42c6d26e9b2d116eeee6f8a175f0453c85e95a95ea49bdb398ee625a198c61048a65321d583924042cce34aa7d8cea679256c29f4f3ea6212ba01005678e427e3a20f35a9b3b96b40ff355803a13e8b92e1300320321d86e2cbdbcd62e560d0ead4d3cbe85a75b167be031f5857728e60ba46d3f8fd202f1a056b05601eebe5482e9bd2f30b6957fc18c311c46fc706760777f45c51a04d08e6c364a4f61c954607b3ada01f3aac0404d2716c38f9622e18a8d73867754a18dcb48b688049e50c7e88cb74f0c26126797865715cd4bcfa351330d114e1ff990f3ec36d560b065d87ee2d5',
	 '\x0e13f6de93776cf7b8a01590fe717903eacc30d2f00f953c64522e368d3a43bfd2167411a37629c67c55d5a6d80f3739ab4b9758d766a036f33e08f427db609d7dabd27967bc92ee4f97113aef2175c4b9bd61fa8e4da8eb3636c6395f12040a81551a65f54940c405922ac2494f89a70ece9f5a9055e6f22f53cce35a5d4c8578c5d2579dd828b0ce02447b934b46d95ac14adb0c9c266f1993d04f50c7fa49a2552237e99f4b211c87c503e3b14688b26d13642dddc082912d62551170a396f393e4b5d575cc7c3e8a84593cfbdc5f739d7cefaf9b496e940ab07ceb573addca9ae6dc1dbc9432ceaf30c209ac21c70a3699ab81183edb9b9fae1c23d12281',
	 '\xd00cde432d6be37472b54510ff226b2ce4cc2eb36370ea02758e4c8b734257ae60768b7d3d3a9f0ceff900be24c3edaf65452d071a4d483ad6e72ddc408865b170a97e208731a9a7b2ba5add27357067a710b4c1385f0eea5ccee0e60ce95e18c9f095fccc107fe2e9b529c269c90029537efaf37dadfcdd27b36c08993651f1',
	 '\xbc852f4f428f936a6d83cda5f4d5eb171b2384a5fca7bfe587a965d599142dbeda55c7fd150f230127dfbf15f21bb5e48daaef5e9cef21bd70261ddf854e86f4bd6149b68069e1d7af06975c74fe3fadec9fd212fbc4c62c854766e1aed5166dfebe7ca7fd45d10055d707ba4f75db85cb00b798b47c1881c9c3a398986abb25',
	 '\x26ab4da064cfd9bdea18211730a4a010ff11a8587552265c80a70b391c1a279be49804032a1f3c32b663acacaabeb3edd6bfcdc7b52eca0f0da47854a8b5f158d29cde31838f4a7e3decff387db2240b4ff4fdf3afdb9335223cdd7644ce174c3a347a5c3b3d91d78622c2f93c9a3c6a71f777034cc7cae8fc19102a64f7c0b1',
	 '\x958c7de43d6412486a4a1598622a54cd469d1d7c637a5b7364f40fb1ab36e3b73412ba8c5ce95e166ba04640cd8807fa201c0ab99e7ae0e41b94513c60ced3a650995dd565f718ce75ad1fe39b7799e28a049aacae8701c28d93ffdc6649e9fa260ccc6ca3318043e8d4a4efba5b3f62da905e14c8906d0c80972f2f3d31e5f5',
	 '\x9ca09ec3946d2f9aacfb1da69af5e5cf8005b082f53b6293a38de6e95dc2cf2805491e1cb44190c4f47c52dc56ffc0129856bae590eeabb47313ed674e8c02b67a9de7033b6af00efb2489a90825a261dac1107ffc688417becebbf299bfc7ba328b633e790b5648316cbb22ed2aa3be8b10b065d37420b0b26896e0852e35fc'),
	(1024,
	 '\xd46030bab0b6d7d256d802669cf987578ced2ac0e59f7a306a83d034da3a09118dd8362c4401dbde355e235acd2937bd3b84d25456c76a912c3084cd1413e155dccd11327f45fadf1ac167dce6501e677771be8194b71b78079df15903df3ad82b17bda8a1c243817125f3e904a92245af6d3b5df60c7b97f252199486f43333',
	 '\x30a0adc7b17acc440f3a7aa240432a68338e82819492458a1c797e0cfc02d9dcb91bce9ba81ebcd74e64f5b76ece8742bf04149cd719e61ec37d808aec93f8be235a4a339297297fd4026209850ea04f1ea5e2dbfe011093871ac154f5cccaaf8d35cdaeda0607f0b1fdbff56c53eabe988c266de753fab7667881d8d4e1b311',
	 '\xf5957faeb9f1cc75b9fa57c999a974dcd5d6b32b01d40eaaaf905089cd1a7cd72ea1396fcdfa93afbb93f173d0ed266bf4c86ef6288378d624e502c1c14954a7',
	 '\xdd621f8eacf4709efd0aca21b69fd0a5a342a609f5d99f81b4c0686a1916b07c91c81d942bb0ff712f9322eb74be5a9795451c35e3d13dcb7024fd2479f26295',
	 '\x5cd3b9838dfd7bcf34111085bf73721cd7276469e93302a839dc4ed50795ef8256b9d240149796a3623fb59095744e8597ecfb2448840974c85558096cca0f19',
	 '\x114823a683a1e158c7f01baf5e0e43bf6a6b3d82f18a37856c92c893dfb981b577bbe37339a5eb8aee67d206076b04af689ba8841c70ad1e4076e2bc023905b1',
	 '\x6c1e93ad041f9ee72989f4bdfe3df9334a956418c648c5a4cc45cd974c4d9e077d34674903d4deee44f83c21c1e6cb1fd2315b0c4d69f6b814fa0bea4e9ba6c1');
\set scalar '\'\\x42345b3a174494be5039ae04df9aef6742411682599edae0443b2c4f29bc06ee\'::bytea'
\set point '\'\\x04d03fc776ab8a754143bd367d10d1708fbaf46f0f4d0ecde1ac4943a5f5f3eab45d0df2a254373d1f6e396b33c5d2e4a21113ff5c9f863078ddc3d78f4910cce9\'::bytea'
\set edwards '\'\\xa31b878f427641a2e4c594a0949538829998e5e16593bb74df47c7d181448b8f\'::bytea'
\set montgomery '\'\\x092555c04409cb5cc2ce6049723ac7b588c39503e0b796d527b8037531c66364\'::bytea'

CREATE TABLE public_key (id serial, name text, der bytea);
INSERT INTO public_key (name, der)
	SELECT v.* FROM rsa, LATERAL (VALUES
		('rsa-2048', rsa_public(number(n) || number('\x010001'))),
		('its exponent has 64 bits', rsa_public(number(n) || number('\x8000000000000001'))),
		('its exponent has 65 bits', rsa_public(number(n) || number('\x010000000000000001'))),
		('its exponent is 3', rsa_public(number(n) || number('\x03'))),
		('its exponent is 65535', rsa_public(number(n) || number('\xffff'))),
		('its exponent is even', rsa_public(number(n) || number('\x010002'))),
		('its exponent is 0', rsa_public(number(n) || number('\x00'))),
		('its exponent is negative', rsa_public(number(n) || '\x0203ff0001')),
		('its modulus is even', rsa_public(number(altered(n)) || number('\x010001'))),
		('its modulus is negative', rsa_public(tlv('\x02', n) || number('\x010001'))),
		('its modulus has a zero too many', rsa_public(tlv('\x02', '\x0000' || n) || number('\x010001'))),
		('its modulus has 1024 bits', rsa_public(number(substr(n, 1, 127) || '\x01') || number('\x010001'))),
		('its modulus has 2047 bits', rsa_public(number(set_byte(n, 0, 127)) || number('\x010001'))),
		('its modulus has 2049 bits', rsa_public(number('\x01' || n) || number('\x010001'))),
		('its modulus has 8192 bits', rsa_public(number(n || n || n || n) || number('\x010001'))),
		('no parameters', rsa_public(number(n) || number('\x010001'), '\x300b06092a864886f70d010101')),
		('other parameters', rsa_public(number(n) || number('\x010001'), '\x300e06092a864886f70d010101020101')),
		('for PSS only', rsa_public(number(n) || number('\x010001'), '\x300b06092a864886f70d01010a')),
		('PKCS#1', tlv('\x30', number(n) || number('\x010001'))),
		('a third number', rsa_public(number(n) || number('\x010001') || number('\x01')))
	) AS v WHERE bits = 2048;
INSERT INTO public_key (name, der) VALUES
	('p-256', '\x3059301306072a8648ce3d020106082a8648ce3d030107034200'::bytea || :point),
	('its point is off the curve', '\x3059301306072a8648ce3d020106082a8648ce3d030107034200'::bytea || altered(:point)),
	('its point is at infinity', '\x3019301306072a8648ce3d020106082a8648ce3d03010703020000'),
	('its point is compressed', '\x3039301306072a8648ce3d020106082a8648ce3d03010703220003d03fc776ab8a754143bd367d10d1708fbaf46f0f4d0ecde1ac4943a5f5f3eab4'),
	('its point is hybrid', '\x3059301306072a8648ce3d020106082a8648ce3d03010703420007d03fc776ab8a754143bd367d10d1708fbaf46f0f4d0ecde1ac4943a5f5f3eab45d0df2a254373d1f6e396b33c5d2e4a21113ff5c9f863078ddc3d78f4910cce9'),
	('its curve is written out', '\x3082014b3082010306072a8648ce3d02013081f7020101302c06072a8648ce3d0101022100ffffffff00000001000000000000000000000000ffffffffffffffffffffffff305b0420ffffffff00000001000000000000000000000000fffffffffffffffffffffffc04205ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b031500c49d360886e704936a6678e1139d26b7819f7e900441046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5022100ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551020101034200040d543ac1a6504d01007eba2fd431695955814e0c50d5df2587cffc5575d58be34b3edad685b30cc70797578dc7af2cd87a65e1a85099f1ae8386319eb02fa1c8'),
	('p-384', '\x3076301006072a8648ce3d020106052b810400220362000458a8a537eeb7e5eda4b85d12ff4bbc2331ee9760d44438f3be8e554ef2ee04102450a5c038ca8c81f8be98dc56dc5e525b202cd513fa691b06709f28e3472de87bc515657363a7787f322690097198b2a122b498bc6edc5ef911014e615f796f'),
	('secp256k1', '\x3056301006072a8648ce3d020106052b8104000a034200046373f57eb91fefb3df94ae389b0e9375483406fab19849975dd8e38b27650a61e41255a87ff5d471489b0ac7e48a582fa5aef010bd6802ecad5ed473ec2506fe');
INSERT INTO public_key (name, der)
	SELECT name, '\x302a300506032b6570032100'::bytea || key FROM (VALUES
		('ed25519', :edwards::bytea),
		('no point of the curve', '\x0200000000000000000000000000000000000000000000000000000000000000'),
		('y is not reduced', '\xf0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f'),
		('order 1', '\x0100000000000000000000000000000000000000000000000000000000000000'),
		('order 1, negative', '\x0100000000000000000000000000000000000000000000000000000000000080'),
		('order 2', '\xecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f'),
		('order 4', '\x0000000000000000000000000000000000000000000000000000000000000000'),
		('order 8', '\x26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05'),
		('another of order 8', '\xc7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa')) AS v (name, key);
INSERT INTO public_key (name, der) VALUES
	('parameters', '\x302c300706032b65700500032100'::bytea || :edwards),
	('31 bytes', '\x3029300506032b6570032000'::bytea || substr(:edwards, 2)),
	('33 bytes', '\x302b300506032b657003220000'::bytea || :edwards),
	('raw', :edwards),
	('a length in two bytes', '\x30812a300506032b6570032100'::bytea || :edwards),
	('no length', '\x3080300506032b6570032100'::bytea || :edwards || '\x0000'),
	('a trailing byte', '\x302a300506032b6570032100'::bytea || :edwards || '\x00'),
	('a trailing byte inside', '\x302b300506032b6570032100'::bytea || :edwards || '\x00'),
	('bits left over', '\x302a300506032b6570032101'::bytea || :edwards),
	('cut', '\x302a300506032b6570032100'::bytea || substr(:edwards, 1, 31)),
	('another tag', '\x312a300506032b6570032100'::bytea || :edwards),
	('ed448', '\x3043300506032b6571033a004797b0a151d0a7d34ab8d715f66dc762cfefde464ee50a4d9d61ecb9aee5461a623036de5666892bcb1a01c196f7610d8aa3ec79889c2f0900'),
	('x25519', '\x302a300506032b656e032100'::bytea || :montgomery),
	('zero', '\x302a300506032b656e032100'::bytea || repeated('\x00', 32)),
	('one', '\x302a300506032b656e032100'::bytea || '\x01' || repeated('\x00', 31)),
	('order 8', '\x302a300506032b656e032100e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800'),
	('one, not reduced', '\x302a300506032b656e032100eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f'),
	('x448', '\x3042300506032b656f0339004629ba6118ac1f55f350cdbe90e37a23e4ca8b670f8bdf6b18ebf9089cd189c296b2a684c5c43fb41a4297a81768dde549c58e47dd2752da'),
	('nothing', ''),
	('text', 'ssh-ed25519 AAAA'),
	('too long', repeated('\x30', 1025));

CREATE TABLE private_key (id serial, name text, der bytea);
INSERT INTO private_key (name, der)
	SELECT v.* FROM rsa, LATERAL (VALUES
		('rsa-2048', rsa_private(n, d, p, q, dp, dq, qinv)),
		('of another modulus', rsa_private(altered(n, 2), d, p, q, dp, dq, qinv)),
		('a prime is even', rsa_private(n, d, altered(p), q, dp, dq, qinv)),
		('the primes are n and 1', rsa_private(n, d, n, '\x01', dp, dq, qinv)),
		('the primes have changed places', rsa_private(n, d, q, p, dp, dq, qinv)),
		('the primes are equal', rsa_private(n, d, p, p, dp, dp, qinv)),
		('no primes', rsa_private(n, d, '\x00', '\x00', '\x00', '\x00', '\x00')),
		('another private exponent', rsa_private(n, altered(d, 2), p, q, dp, dq, qinv)),
		('the private exponent is 0', rsa_private(n, '\x00', p, q, dp, dq, qinv)),
		('the private exponent is long', rsa_private(n, repeated(d, 4), p, q, dp, dq, qinv)),
		('another remainder', rsa_private(n, d, p, q, altered(dp, 2), dq, qinv)),
		('the other remainder', rsa_private(n, d, p, q, dp, altered(dq, 2), qinv)),
		('another coefficient', rsa_private(n, d, p, q, dp, dq, altered(qinv, 2))),
		('version 1', rsa_private(n, d, p, q, dp, dq, qinv, version => '\x01')),
		('attributes', rsa_private(n, d, p, q, dp, dq, qinv, attributes => '\xa000')),
		('PKCS#1', tlv('\x30', '\x020100' || number(n) || '\x0203010001' || number(d)
			|| number(p) || number(q) || number(dp) || number(dq) || number(qinv))),
		('a trailing byte', rsa_private(n, d, p, q, dp, dq, qinv) || '\x00'),
		('cut', substr(rsa_private(n, d, p, q, dp, dq, qinv), 1, 1000))
	) AS v WHERE bits = 2048;
INSERT INTO private_key (name, der)
	SELECT 'rsa-1024', rsa_private(n, d, p, q, dp, dq, qinv) FROM rsa WHERE bits = 1024;
INSERT INTO private_key (name, der) VALUES
	('rsa-2048 of three primes', '\x308204f3020100300d06092a864886f70d0101010500048204dd308204d9020101028201010091ee823371d15d7e8a761e14ec4ec1be16ccbe288f9e5e3d4c402157d60337fc349240136eb7ac543e86659857ba4eed9fc6e534216c08a204f00d6470ba4cabc492e62f1f18816c5838d2a7f566b363fa68951d0b8f183a3aa86a064b85dd40a95ecd693728863fe21860c029eb7b458e2df869ab9f6f68001ae8ef17e45de776db4451c564f758d3f25644a15a040de1a6871f8acedb5aefe09c2544dc552d8f877646096bd29892835efd82e0bd98cdeb7fe2a111860aacc5f5c9cad312ec731134c7764f0a9e444e40283ba6f3d9f4e0da69071d8c88e293a53bff278e9052d4122b27d1ad79bb78b5df4cc88ec9ac76c08d24277d92b931a6c43bab57610203010001028201002974f2741eef757a0f67c2dffac9dcec5d99c8a3c9391a589ba2d45619ac4c694f9e04aa00981952cd786cc03c9be6f446a1c05770ef39fc9d1e7d0f7d9ecf4d34c8eeaf904bebe8959f7ee8cc2462ee122347c93a77ffcc4a1543f941e636ef2337b964c73bf056289161590cce5fd090ad0b2c4d0bd9f2ccb499f6f9490aa3a743f2365d626bac6246376e5a527a6c7b5c2e25d4b31fd9147ef301c971b11188ac2a498e70640147cdf47cedfa13e8f60c01c0d03815d66cac9357dfa101d92af2214e287dc9859a1f6c314ed03ee475b15f181a34ed31124046f9e8c69247f8864b4b4eb1d26550571889809c8759ff4cc1a2e66e9cb409ecd4f9734ce7210256077c3116d57e72bc5d887d241f2759ef49de8a1dd88cf16203f3db5a6cdaa1435826f4572c5e1c90304dd08c4eb773aa5c54b70c73d99882249274febf36503491f5fa4f5b6fadcf7a80699551fef0c9ae9f8e7bffdd02560634dea18e60bb4fa3eeda38e988b573e54993c9352869b295f17dae38dd01956d2dcb720624194f3505a128b58a3f69ec1217c5dba948383e21ef00ca0a1124d6bbbec8fcbc697b0ccd9a2650db58c89bf689d159fb025605975ca7fce48eda6c57f77ad316b7148b2e8427954a7b494740929b7272c241a708ba3e9ff2d10d5837d84fe6c11cd2a653d5c4a4896765d7e1db292c366b2549dedf9305ef5f7b7bbb8ea32ef3ec740b503ec41bb5025603655c478392f40a8085498c08640ffcc901784688ba8312ff2e3279688dacb72914fc93783eba4677998bf3ad5966973b5f2ef8c8d7183805ef254a064279dcf14daaf7682a6380bba1a7edbd2237b3147b522f658f025601fdc907c781c53eddc3ba1ee88ab46a93d234c828397e40de0cd7587007129cb6f23c695a633016cdf06ea680df64b238e4c7c194769efeb544eea28c4cc6276036f30e01c67ed1b80e0b7bed3591154b5671d0dd2a3082010c308201080256032428d83f8a196a137dc6e301b0ad56de69addd2ff645b284b1f7a3ab7a5602a0b14b930339e837352cad87419520ce82dbda6268a7972743277e26f294f9e4358a6473f38efc3512b58b25a50d5d9ce64154c95aef025602657a9786d9c70baab5009ebbf25a3af45070e85627ae0243c33565f272d0dd0e545390631cb13034ebd1b266f0eae740e3929612bb0fd04f25f8d2a3abcd7c30f054343531f6ec524a974defbde395c7ff3d3ca397025600edc0fb05ec235f27f4bcaa8c5a0aa8e8e9a1559f90b49953c9fd7ead65aeba6174a2814578d1a24547df25639e0e6c76020be33c181a25f85312a73fb6c14e067dde445f272fbe5398314032c108fa97c9b740c79f'),
	('p-256', p256_private(:scalar, '\xa144034200'::bytea || :point)),
	('without its public key', p256_private(:scalar)),
	('another public key', p256_private(altered(:scalar), '\xa144034200'::bytea || :point)),
	('a public key off the curve', p256_private(:scalar, '\xa144034200'::bytea || altered(:point))),
	('zero', p256_private(repeated('\x00', 32))),
	('the order of the curve', p256_private('\xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551')),
	('31 bytes', p256_private(substr(:scalar, 2))),
	('33 bytes', p256_private('\x00'::bytea || :scalar)),
	('parameters once more', p256_private(:scalar, '\xa00a06082a8648ce3d030107a144034200'::bytea || :point)),
	('something after it', p256_private(:scalar, '\x0500')),
	('RFC 5915', '\x30770201010420'::bytea || :scalar || '\xa00a06082a8648ce3d030107a144034200' || :point),
	('its public key is hybrid', p256_private(:scalar, '\xa144034200'::bytea || substr('\x3059301306072a8648ce3d020106082a8648ce3d03010703420007d03fc776ab8a754143bd367d10d1708fbaf46f0f4d0ecde1ac4943a5f5f3eab45d0df2a254373d1f6e396b33c5d2e4a21113ff5c9f863078ddc3d78f4910cce9'::bytea, 27))),
	('its public key is compressed', p256_private(:scalar, '\xa124032200'::bytea || substr('\x3039301306072a8648ce3d020106082a8648ce3d03010703220003d03fc776ab8a754143bd367d10d1708fbaf46f0f4d0ecde1ac4943a5f5f3eab4'::bytea, 27))),
	('p-384', '\x3081b6020100301006072a8648ce3d020106052b8104002204819e30819b02010104305ab47eacdb307fe1edf1d513c38290287429e85e33525d0fc9dcc2b633053177568d1d637ffc01dc6859f6f6b43b2d25a1640362000458a8a537eeb7e5eda4b85d12ff4bbc2331ee9760d44438f3be8e554ef2ee04102450a5c038ca8c81f8be98dc56dc5e525b202cd513fa691b06709f28e3472de87bc515657363a7787f322690097198b2a122b498bc6edc5ef911014e615f796f'),
	('ed25519', '\x302e020100300506032b657004220420'::bytea || :scalar),
	('31 bytes', '\x302d020100300506032b65700421041f'::bytea || substr(:scalar, 2)),
	('33 bytes', '\x302f020100300506032b65700423042100'::bytea || :scalar),
	('with its public key', '\x3051020101300506032b657004220420'::bytea || :scalar || '\x812100' || :edwards),
	('raw', :scalar),
	('cut', '\x302e020100300506032b657004220420'::bytea || substr(:scalar, 1, 31)),
	('ed448', '\x3047020100300506032b6571043b0439fa565e2a48375b0d3dedbfd0ce12e9921afc04613be0f6a67b708cb2185be97fb44ef3364950a58da176f8e7f136d102d6603c0016a17b59c0'),
	('x25519', '\x302e020100300506032b656e04220420'::bytea || :scalar),
	('encrypted', '\x30819b305706092a864886f70d01050d304a302906092a864886f70d01050c301c0408c7495c43a147c85a02020800300c06082a864886f70d02090500301d060960864801650304012a041029d8b177c989f875196aceec4aa625c504401394bb062e2202a71cba38dc5940bca44df9b8a42e4d78c7c4485aad4a837420562089031d4c0a246f75dc1af6969c9494c7e6ffb31fd58cc5b88bc979aa715a'),
	('nothing', ''),
	('text', '-----BEGIN PRIVATE KEY-----'),
	('too long', repeated('\x30', 4097));

--
-- Public keys: what is taken, and the one error for all others
--
CREATE VIEW judged_public AS
	SELECT id, name, said('medsync.check_signature('''', '''', $1)', der) AS answer
	FROM public_key;
SELECT name, CASE WHEN answer LIKE '%malformed%' THEN 'malformed or not offered' ELSE answer END
FROM judged_public ORDER BY id;
SELECT DISTINCT answer FROM judged_public WHERE answer LIKE '%malformed%';

--
-- Private keys
--
CREATE VIEW judged_private AS
	SELECT id, name, size_of('medsync.public_key($1)', der) AS answer
	FROM private_key;
SELECT name, CASE WHEN answer LIKE '%malformed%' THEN 'malformed or not offered' ELSE answer END
FROM judged_private ORDER BY id;
SELECT DISTINCT answer FROM judged_private WHERE answer LIKE '%malformed%';

-- each function refuses them alike
SELECT call, said(call, '\x30') FROM unnest(ARRAY[
	'medsync.public_key($1)',
	'medsync.sign(''m'', $1)',
	'medsync.rsa_decrypt(''c'', $1)',
	'medsync.unwrap_key(''c'', $1)',
	'medsync.check_signature(''m'', ''s'', $1)',
	'medsync.rsa_encrypt(''m'', $1)',
	'medsync.wrap_key(''k'', $1)']) AS call;

--
-- Keys that are for something else
--
CREATE TABLE pair AS
	SELECT algorithm, public_key, private_key
	FROM unnest('{ed25519,p-256,rsa-2048,x25519}'::text[]) AS algorithm,
		medsync.generate_key_pair(algorithm);
SELECT algorithm, call, size_of(call, public_key, private_key)
FROM pair, unnest(ARRAY[
	'medsync.sign(''m'', $2)',
	'medsync.check_signature(''m'', ''s'', $1)',
	'medsync.rsa_encrypt(''m'', $1)',
	'medsync.rsa_decrypt(''c'', $2)',
	'medsync.wrap_key(''k'', $1)',
	'medsync.unwrap_key(''c'', $2)']) WITH ORDINALITY AS c (call, n)
ORDER BY algorithm, n;

-- every algorithm's sizes, and what it makes it opens or verifies
SELECT algorithm, length(public_key), medsync.public_key(private_key) = public_key AS same,
	length(medsync.sign('m', private_key)) AS signature,
	medsync.check_signature('m', medsync.sign('m', private_key), public_key) AS right,
	medsync.check_signature('n', medsync.sign('m', private_key), public_key) AS wrong
FROM pair WHERE algorithm <> 'x25519' ORDER BY 1;
SELECT algorithm, length(medsync.wrap_key('a key', public_key)),
	medsync.unwrap_key(medsync.wrap_key('a key', public_key), private_key) = 'a key'
FROM pair WHERE algorithm IN ('rsa-2048', 'x25519') ORDER BY 1;

SELECT name, said('medsync.generate_key_pair(' || quote_literal(name) || ')', '')
FROM unnest('{rsa-1024,rsa,RSA-2048,p-384,"",des}'::text[]) AS name;

--
-- What does not open: one error, whatever the cause
--
\set key '\'\\x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\'::bytea'
CREATE TABLE sealed AS
	SELECT medsync.encrypt('some text', :key, 'about') AS c;
SELECT convert_from(medsync.decrypt(c, :key, 'about'), 'UTF8'), length(c) FROM sealed;
SELECT what, said('medsync.decrypt($1, $2, $3)', a, k, aad) FROM sealed, LATERAL (VALUES
	('other key', c, altered(:key), 'about'::bytea),
	('other aad', c, :key, 'About'),
	('no aad', c, :key, ''),
	('tag', altered(c), :key, 'about'),
	('ciphertext', set_byte(c, 13, get_byte(c, 13) # 1), :key, 'about'),
	('nonce', set_byte(c, 1, get_byte(c, 1) # 128), :key, 'about'),
	('version', set_byte(c, 0, 2), :key, 'about'),
	('a byte less', substr(c, 1, length(c) - 1), :key, 'about'),
	('a byte more', c || '\x00', :key, 'about'),
	('as much as nonce and tag', substr(c, 1, 29), :key, 'about'),
	('shorter than that', substr(c, 1, 28), :key, 'about'),
	('nothing', '', :key, 'about')) AS v (what, a, k, aad);
-- not one bit may change
SELECT count(*), count(DISTINCT answer), min(answer)
FROM sealed, generate_series(0, 8 * length(c) - 1) AS bit,
	said('medsync.decrypt($1, $2, $3)', set_bit(c, bit, 1 - get_bit(c, bit)), :key, 'about') AS answer;

CREATE TABLE block AS
	SELECT algorithm, private_key,
		CASE WHEN algorithm = 'rsa-2048' THEN medsync.rsa_encrypt('some text', public_key, 'about') END AS c,
		medsync.wrap_key('a key', public_key) AS w
	FROM pair WHERE algorithm IN ('rsa-2048', 'x25519');
SELECT convert_from(medsync.rsa_decrypt(c, private_key, 'about'), 'UTF8') FROM block WHERE c IS NOT NULL;
SELECT what, said('medsync.rsa_decrypt($1, $2, $3)', a, private_key, label) FROM block, LATERAL (VALUES
	('other label', c, 'About'::bytea),
	('no label', c, ''),
	('altered', altered(c), 'about'),
	('a byte less', substr(c, 1, 255), 'about'),
	('a byte more', c || '\x00', 'about'),
	('zero', repeated('\x00', 256), 'about'),
	('larger than the modulus', repeated('\xff', 256), 'about'),
	('nothing', '', 'about')) AS v (what, a, label) WHERE c IS NOT NULL;
SELECT algorithm, what, said('medsync.unwrap_key($1, $2)', a, private_key) FROM block, LATERAL (VALUES
	('altered at the end', altered(w)),
	('altered at the beginning', set_byte(w, 0, get_byte(w, 0) # 1)),
	('a byte less', substr(w, 1, length(w) - 1)),
	('a byte more', w || '\x00'),
	('48 bytes', substr(w, 1, 48)),
	('513 bytes', repeated('\x00', 513)),
	('nothing', '')) AS v (what, a) ORDER BY 1, 2;
SELECT said('medsync.rsa_decrypt($1, $2)', w, another.private_key)
FROM block, medsync.generate_key_pair('rsa-2048') AS another WHERE algorithm = 'rsa-2048';

--
-- Sizes
--
SELECT n, said('medsync.encrypt(''m'', $1)', repeated('\x00', n)),
	said('medsync.decrypt(''m'', $1)', repeated('\x00', n))
FROM unnest('{0,16,24,31,33,64}'::int[]) AS n;
SELECT n, size_of('medsync.rsa_encrypt($1, $2)', repeated('\x00', n), public_key)
FROM pair, unnest('{0,190,191}'::int[]) AS n WHERE algorithm = 'rsa-2048';
SELECT n, size_of('medsync.rsa_encrypt(''m'', $2, $1)', repeated('\x00', n), public_key)
FROM pair, unnest('{65535,65536}'::int[]) AS n WHERE algorithm = 'rsa-2048';
SELECT said('medsync.rsa_decrypt(''m'', $2, $1)', repeated('\x00', 65536), private_key)
FROM pair WHERE algorithm = 'rsa-2048';
SELECT algorithm, n, size_of('medsync.wrap_key($1, $2)', repeated('\x00', n), public_key)
FROM pair, unnest('{0,1,128,129}'::int[]) AS n
WHERE algorithm IN ('rsa-2048', 'x25519') ORDER BY 1, 2;
-- rsa_encrypt() can make what is no wrapped key
SELECT said('medsync.unwrap_key($1, $2)', medsync.rsa_encrypt(repeated('\x00', 129), public_key), private_key)
FROM pair WHERE algorithm = 'rsa-2048';

--
-- Signatures
--
SELECT algorithm, what, medsync.check_signature('m', a, public_key)
FROM pair, medsync.sign('m', private_key) AS s, LATERAL (VALUES
	('right', s),
	('altered', altered(s)),
	('a byte less', substr(s, 1, length(s) - 1)),
	('a byte more', s || '\x00'),
	('a zero in front', '\x00' || s),
	('nothing', ''),
	('zeros', repeated('\x00', length(s))),
	('ones', repeated('\xff', length(s)))) AS v (what, a)
WHERE algorithm = 'ed25519' OR algorithm = 'p-256' OR algorithm = 'rsa-2048' ORDER BY algorithm, what;

SELECT der, said('medsync.ecdsa_signature_from_der($1)', der) FROM unnest(ARRAY[
	'\x3006020101020102',
	'\x3006020100020100',
	'\x30060201ff020102',
	'\x300702020001020102',
	'\x308106020101020102',
	'\x300602010102010200',
	'\x30080201010201020500',
	'\x30800201010201020000',
	'\x3003020101',
	'\x30050201010200',
	'\x3106020101020102',
	'\x30260221' || '00' || repeat('ff', 32) || '020101',
	'\x30260221' || '01' || repeat('ff', 32) || '020101',
	'\x',
	'\x' || repeat('30', 100)]::bytea[]) AS der;

--
-- Nothing, and null
--
SELECT length(medsync.encrypt('', :key)), medsync.decrypt(medsync.encrypt('', :key), :key) = '';
SELECT medsync.rsa_decrypt(medsync.rsa_encrypt('', public_key), private_key) = ''
FROM pair WHERE algorithm = 'rsa-2048';
SELECT algorithm, medsync.check_signature('', medsync.sign('', private_key), public_key)
FROM pair WHERE algorithm <> 'x25519' ORDER BY 1;
SELECT medsync.encrypt(NULL, :key) IS NULL, medsync.encrypt('m', NULL) IS NULL,
	medsync.encrypt('m', :key, NULL) IS NULL, medsync.decrypt(NULL, :key) IS NULL,
	medsync.sign('m', NULL) IS NULL, medsync.check_signature('m', NULL, '\x30') IS NULL,
	medsync.public_key(NULL) IS NULL, medsync.rsa_encrypt(NULL, '\x30') IS NULL,
	medsync.rsa_decrypt('m', NULL) IS NULL, medsync.wrap_key(NULL, '\x30') IS NULL,
	medsync.unwrap_key(NULL, '\x30') IS NULL, medsync.ecdsa_signature_from_der(NULL) IS NULL,
	(SELECT public_key IS NULL FROM medsync.generate_key_pair(NULL));

-- random where it must be, the same where it may be
SELECT medsync.generate_key() <> medsync.generate_key(), length(medsync.generate_key()),
	medsync.encrypt('m', :key) <> medsync.encrypt('m', :key);
SELECT algorithm, medsync.sign('m', private_key) = medsync.sign('m', private_key)
FROM pair WHERE algorithm <> 'x25519' ORDER BY 1;

-- one statement, several keys: none is taken for another
SELECT count(*), bool_and(medsync.check_signature('m', s.s, p.public_key) = (s.algorithm = p.algorithm))
FROM (SELECT * FROM pair WHERE algorithm <> 'x25519') AS p,
	(SELECT algorithm, medsync.sign('m', private_key) AS s FROM pair WHERE algorithm <> 'x25519') AS s,
	generate_series(1, 3) AS i;

-- how the functions are declared
SELECT proname, provolatile, proisstrict, proparallel, prosecdef, proacl IS NULL AS for_everybody
FROM pg_proc WHERE pronamespace = 'medsync'::regnamespace AND proname IN ('generate_key', 'encrypt', 'decrypt',
	'generate_key_pair', 'public_key', 'rsa_encrypt', 'rsa_decrypt', 'wrap_key', 'unwrap_key',
	'sign', 'check_signature', 'ecdsa_signature_from_der') ORDER BY 1;

DROP SCHEMA vault CASCADE;
