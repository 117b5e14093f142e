/*
 * Makes a hospital of :patients patients.
 *
 * Every value is drawn from the MD5 of a text such as '17/birth', never from
 * random() or the clock: the same number of patients gives the same rows on
 * every machine, and patient 17 is the same person in a hospital of any size
 * (who treats patient 17 depends on the number of practitioners, hence on the
 * size).  The rates are those of a small population made by Synthea: about
 * 30 encounters, 54 vital signs and 37 claims for one patient.
 *
 * The last day is 2021-03-31.
 */
SET search_path = hospital;
SET TimeZone = 'UTC';
SET jit = off;

/* A number in [0, 1). */
CREATE FUNCTION pg_temp.draw(key text) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT ('x' || substr(md5(key), 1, 8))::bit(32)::bigint / 4294967296.0 $$;

/* A whole number from low to high. */
CREATE FUNCTION pg_temp.whole(key text, low int, high int) RETURNS int
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT low + floor(pg_temp.draw(key) * (high - low + 1))::int $$;

/* An element of a list; what stands there twice comes twice as often. */
CREATE FUNCTION pg_temp.pick(key text, list text[]) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT list[1 + floor(pg_temp.draw(key) * cardinality(list))::int] $$;

/* A row of one of the vocabularies below. */
CREATE TEMP TABLE term (kind text, number int, code text, display text,
						note text, PRIMARY KEY (kind, number));
CREATE FUNCTION pg_temp.term_number(key text, how_many int) RETURNS int
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT floor(power(pg_temp.draw(key), 1.7) * how_many)::int $$;

INSERT INTO term
SELECT kind, row_number() OVER (PARTITION BY kind ORDER BY place) - 1,
	   code, display, note
FROM (VALUES
	(1, 'encounter', '185349003', 'Encounter for check up', 'AMB'),
	(2, 'encounter', '185345009', 'Encounter for symptom', 'AMB'),
	(3, 'encounter', '185347001', 'Encounter for problem', 'AMB'),
	(4, 'encounter', '390906007', 'Follow-up encounter', 'AMB'),
	(5, 'encounter', '371883000', 'Outpatient procedure', 'AMB'),
	(6, 'encounter', '698314001', 'Consultation for treatment', 'AMB'),
	(7, 'encounter', '448337001', 'Telemedicine consultation', 'AMB'),
	(8, 'encounter', '50849002', 'Emergency room admission', 'EMER'),
	(9, 'encounter', '32485007', 'Hospital admission', 'IMP'),
	(1, 'condition', '444814009', 'Viral sinusitis', '14'),
	(2, 'condition', '195662009', 'Acute viral pharyngitis', '10'),
	(3, 'condition', '10509002', 'Acute bronchitis', '21'),
	(4, 'condition', '44465007', 'Sprain of ankle', '30'),
	(5, 'condition', '271737000', 'Anemia', NULL),
	(6, 'condition', '15777000', 'Prediabetes', NULL),
	(7, 'condition', '38341003', 'Hypertension', NULL),
	(8, 'condition', '55822004', 'Hyperlipidemia', NULL),
	(9, 'condition', '40055000', 'Chronic sinusitis', NULL),
	(10, 'condition', '195967001', 'Asthma', NULL),
	(11, 'condition', '44054006', 'Diabetes mellitus type 2', NULL),
	(12, 'condition', '43878008', 'Streptococcal sore throat', '12'),
	(1, 'drug', '313782', 'Acetaminophen 325 MG Oral Tablet', 'as needed'),
	(2, 'drug', '310965', 'Ibuprofen 200 MG Oral Tablet', 'as needed'),
	(3, 'drug', '316672', 'Simvastatin 10 MG', '1/1/d'),
	(4, 'drug', '316049', 'Hydrochlorothiazide 25 MG', '1/1/d'),
	(5, 'drug', '860975', 'Metformin hydrochloride 500 MG', '2/1/d'),
	(6, 'drug', '308182', 'Amoxicillin 250 MG Oral Capsule', '3/1/d'),
	(7, 'drug', '314076', 'Lisinopril 10 MG Oral Tablet', '1/1/d'),
	(8, 'drug', '849574', 'Naproxen sodium 220 MG Oral Tablet', '1/6/h'),
	(9, 'drug', '834061', 'Penicillin V Potassium 250 MG', '4/1/d'),
	(10, 'drug', '855332', 'Warfarin Sodium 5 MG Oral Tablet', '1/1/d'),
	(1, 'procedure', '428191000124101',
		'Documentation of current medications', '15'),
	(2, 'procedure', '104091002',
		'Hemoglobin / Hematocrit / Platelet count', '10'),
	(3, 'procedure', '171207006', 'Depression screening', '20'),
	(4, 'procedure', '76601001', 'Intramuscular injection', '5'),
	(5, 'procedure', '127783003', 'Spirometry', '25'),
	(6, 'procedure', '117015009', 'Throat culture', '10'),
	(7, 'procedure', '399208008', 'Plain chest X-ray', '15'),
	(8, 'procedure', '73761001', 'Colonoscopy', '45'),
	(1, 'vaccine', '140',
		'Influenza, seasonal, injectable, preservative free', NULL),
	(2, 'vaccine', '113', 'Td (adult) preservative free', NULL),
	(3, 'vaccine', '133', 'Pneumococcal conjugate PCV 13', NULL),
	(4, 'vaccine', '20', 'DTaP', NULL),
	(5, 'vaccine', '03', 'MMR', NULL),
	(6, 'vaccine', '21', 'varicella', NULL),
	(7, 'vaccine', '52', 'Hep A, adult', NULL),
	(1, 'allergy', '419263009', 'Allergy to tree pollen', 'environment'),
	(2, 'allergy', '232350006', 'House dust mite allergy', 'environment'),
	(3, 'allergy', '419474003', 'Allergy to mould', 'environment'),
	(4, 'allergy', '91934008', 'Allergy to nut', 'food'),
	(5, 'allergy', '300913006', 'Shellfish allergy', 'food'),
	(6, 'allergy', '91936005', 'Allergy to penicillin', 'medication'),
	(7, 'allergy', '424213003', 'Allergy to bee venom', 'environment'),
	(8, 'allergy', '300916003', 'Latex allergy', 'environment'),
	(9, 'allergy', '417532002', 'Allergy to fish', 'food'))
	AS list (place, kind, code, display, note);

CREATE TEMP TABLE town (number int PRIMARY KEY, city text, postal_code text,
						lat double precision, lon double precision);
INSERT INTO town VALUES
	(0, 'Boston', '02108', 42.3602, -71.0583),
	(1, 'Worcester', '01545', 42.2626, -71.8023),
	(2, 'Springfield', '01013', 42.1015, -72.5898),
	(3, 'Lowell', '01850', 42.6334, -71.3162),
	(4, 'Cambridge', '02138', 42.3736, -71.1097),
	(5, 'Chicopee', '01020', 42.1487, -72.6079),
	(6, 'Salem', '01970', 42.5195, -70.8967),
	(7, 'Peabody', '01960', 42.5279, -70.9287);

/* One practitioner in one organization for six patients, four at least. */
SELECT greatest(4, ceil(:patients / 6.0))::int AS practitioners \gset

INSERT INTO organizations
SELECT md5('organization/' || n)::uuid,
	   upper(t.city) || ' '
	   || pg_temp.pick('organization/name/' || n,
					   '{MEDICAL CENTER,HOSPITAL,CLINIC,PRIMARY CARE,URGENT CARE}')
	   || ' ' || n,
	   '617' || lpad(pg_temp.whole('organization/phone/' || n, 0, 9999999)::text, 7, '0'),
	   pg_temp.whole('organization/street/' || n, 1, 400) || ' '
	   || pg_temp.pick('organization/street/name/' || n,
					   '{HIGHLAND AVENUE,LAKE AVENUE,MAIN STREET,WASHINGTON STREET}'),
	   upper(t.city), 'MA', t.postal_code
FROM generate_series(1, :practitioners) AS n
JOIN town t ON t.number = pg_temp.whole('organization/town/' || n, 0, 7);

INSERT INTO practitioners
SELECT md5('practitioner/' || n)::uuid, (n * 10)::text,
	   'Dr. '
	   || pg_temp.pick('practitioner/given/' || n,
					   '{Ana,Béla,Carmen,Deniz,Elif,Farid,Grace,Hugo,Ines,Jonas,Keiko,Luís,Mira,Noor,Olga,Pavel}')
	   || ' '
	   || pg_temp.pick('practitioner/family/' || n,
					   '{Abbott,Brakus,Castillo,Dvořák,Eriksen,Farkas,Gómez,Hilpert,Ibarra,Jansen,Kowalski,Lopez,Müller,Nilsen,Okafor,Predovic}'),
	   NULL, o.city, 'MA', true
FROM generate_series(1, :practitioners) AS n
JOIN organizations o ON o.id = md5('organization/' || n)::uuid;

INSERT INTO patients
SELECT md5('patient/' || n)::uuid,
	   CASE WHEN g.female
			THEN pg_temp.pick(n || '/given',
							  '{Adela,Brenda,Chloé,Dorota,Emilia,Fátima,Gloria,Hanna,Ingrid,Josefina,Katherine,Lucía,María,Nadia,Olivia,Paula,Rosa,Sofía,Tamika,Yolanda}')
			ELSE pg_temp.pick(n || '/given',
							  '{Abdul,Benjamín,Carlos,Dwight,Emil,Felipe,Gerald,Hilario,Ivan,José,Kareem,Louis,Miguel,Nils,Óscar,Pedro,Raúl,Stefan,Tomás,Víctor}')
	   END,
	   pg_temp.pick(n || '/family',
					'{Abernathy,Bauch,Corkery,Dietrich,Emard,Fadel,Gutiérrez,Hartmann,Jiménez,Koepp,Leannon,Mraz,Núñez,Ortiz,Pfannerstill,Quigley,Romaguera,Schamberger,Tremblay,Urrutia,Volkman,Witting,Yundt,Zieme}'),
	   CASE WHEN g.female THEN 'female' ELSE 'male' END,
	   b.birth,
	   CASE WHEN b.age > 50 AND pg_temp.draw(n || '/dies') < 0.3
			THEN b.birth + make_interval(days => (b.age * 365
												  * (0.7 + 0.3 * pg_temp.draw(n || '/dies at')))::int,
										 secs => pg_temp.whole(n || '/dies at second', 0, 86399))
	   END,
	   CASE WHEN b.age > 18 THEN pg_temp.pick(n || '/marital', '{M,M,M,S}')
			ELSE 'S' END,
	   pg_temp.pick(n || '/race',
					'{White,White,White,White,White,White,Other,Black or African American,Asian}'),
	   pg_temp.pick(n || '/ethnicity',
					'{Not Hispanic or Latino,Not Hispanic or Latino,Not Hispanic or Latino,Hispanic or Latino}'),
	   CASE WHEN n <= 1000000
			THEN '999-' || lpad(((n - 1) / 10000)::text, 2, '0') || '-'
				 || lpad(((n - 1) % 10000)::text, 4, '0') END,
	   'MRN-' || lpad(n::text, 8, '0'),
	   '555-' || lpad(pg_temp.whole(n || '/phone', 0, 999)::text, 3, '0') || '-'
	   || lpad(pg_temp.whole(n || '/phone/end', 0, 9999)::text, 4, '0'),
	   pg_temp.whole(n || '/street', 1, 999) || ' '
	   || pg_temp.pick(n || '/street/name',
					   '{Lockman Row,Daugherty Arcade,Jacobs Trailer,Maple Street,Harbor Way}'),
	   t.city, 'Massachusetts',
	   CASE WHEN pg_temp.draw(n || '/zip') < 0.98 THEN t.postal_code END,
	   t.lat + (pg_temp.draw(n || '/lat') - 0.5) / 10,
	   t.lon + (pg_temp.draw(n || '/lon') - 0.5) / 10,
	   pg_temp.pick(n || '/language', '{en-US,en-US,en-US,en-US,en-US,en-US,en-US,es,pt,zh}')
FROM generate_series(1, :patients) AS n
CROSS JOIN LATERAL (SELECT pg_temp.draw(n || '/gender') < 0.48 AS female) g
CROSS JOIN LATERAL (SELECT pg_temp.whole(n || '/birth', 0, 36000) AS days) d
CROSS JOIN LATERAL (SELECT date '2021-03-01' - d.days AS birth, d.days / 365.25 AS age) b
JOIN town t ON t.number = pg_temp.whole(n || '/town', 0, 7);

/*
 * Encounters: five to seventy, fewer for most, in the last thirty years of
 * the patient's life; two of three with the patient's own practitioner.
 */
CREATE TEMP TABLE visit AS
SELECT n, e, n || '/' || e AS key, p.id AS patient_id,
	   CASE WHEN pg_temp.draw(n || '/' || e || '/who') < 0.67
			THEN pg_temp.whole(n || '/own', 1, :practitioners)
			ELSE pg_temp.whole(n || '/' || e || '/other', 1, :practitioners)
	   END AS practitioner,
	   date_trunc('second', r.low + pg_temp.draw(n || '/' || e || '/start') * (r.high - r.low)) AS start_at,
	   CASE WHEN pg_temp.draw(n || '/' || e || '/class') < 0.91 THEN
				pg_temp.term_number(n || '/' || e || '/type', 7)
			WHEN pg_temp.draw(n || '/' || e || '/class/2') < 0.6 THEN 7
			ELSE 8 END AS type
FROM generate_series(1, :patients) AS n
JOIN patients p ON p.id = md5('patient/' || n)::uuid,
	 LATERAL (SELECT coalesce(p.deceased_at, '2021-03-31 12:00') AS high) h,
	 LATERAL (SELECT greatest(p.birth_date::timestamptz, h.high - interval '30 years') AS low, h.high) r,
	 generate_series(1, 5 + floor(power(pg_temp.draw(n || '/encounters'), 1.7) * 66)::int) AS e;

ANALYZE term, visit;

INSERT INTO encounters
SELECT md5('encounter/' || v.key)::uuid, v.patient_id,
	   CASE WHEN pg_temp.draw(v.key || '/nobody') >= 0.0045
			THEN md5('practitioner/' || v.practitioner)::uuid END,
	   md5('organization/' || v.practitioner)::uuid,
	   t.note, t.code, t.display, v.start_at,
	   v.start_at + CASE t.note
					WHEN 'AMB' THEN make_interval(mins => pg_temp.whole(v.key || '/minutes', 1, 4) * 15)
					WHEN 'EMER' THEN make_interval(mins => pg_temp.whole(v.key || '/minutes', 60, 600))
					ELSE make_interval(hours => pg_temp.whole(v.key || '/minutes', 20, 190))
					END,
	   c.code, c.display
FROM visit v
JOIN term t ON t.kind = 'encounter' AND t.number = v.type
LEFT JOIN term c ON c.kind = 'condition'
	AND pg_temp.draw(v.key || '/condition') < 0.25
	AND c.number = pg_temp.term_number(v.key || '/condition/which', 12);

ANALYZE encounters;

INSERT INTO conditions
SELECT md5('condition/' || v.key)::uuid, v.patient_id, e.id, e.reason_code,
	   e.reason_display,
	   CASE WHEN a.ends_at IS NULL THEN 'active' ELSE 'resolved' END,
	   e.start_at, a.ends_at
FROM visit v
JOIN encounters e ON e.id = md5('encounter/' || v.key)::uuid
JOIN term t ON t.kind = 'condition' AND t.code = e.reason_code,
	 LATERAL (SELECT e.start_at + make_interval(days => t.note::int) AS ends_at) a;

INSERT INTO medication_requests
SELECT md5('medication/' || v.key)::uuid, v.patient_id, e.id,
	   e.practitioner_id,
	   CASE WHEN pg_temp.draw(v.key || '/drug/active') < 0.26 THEN 'active'
			ELSE 'stopped' END,
	   'order', t.code, t.display, e.start_at,
	   CASE WHEN t.note <> 'as needed' THEN 1 END,
	   CASE WHEN t.note <> 'as needed' THEN split_part(t.note, '/', 1)::int END,
	   CASE WHEN t.note <> 'as needed' THEN split_part(t.note, '/', 2)::numeric END,
	   CASE WHEN t.note <> 'as needed' THEN split_part(t.note, '/', 3) END,
	   t.note = 'as needed', c.id
FROM visit v
JOIN encounters e ON e.id = md5('encounter/' || v.key)::uuid
LEFT JOIN conditions c ON c.id = md5('condition/' || v.key)::uuid
JOIN term t ON t.kind = 'drug'
	AND pg_temp.draw(v.key || '/drug') < 0.26
	AND t.number = pg_temp.term_number(v.key || '/drug/which', 10);

/* One patient in six has allergies, up to eight. */
INSERT INTO allergies
SELECT md5('allergy/' || n || '/' || t.number)::uuid, p.id, t.code, t.display,
	   t.note,
	   pg_temp.pick(n || '/allergy/criticality/' || t.number, '{low,low,low,high}'),
	   CASE WHEN pg_temp.draw(n || '/allergy/active/' || t.number) < 0.93
			THEN 'active' ELSE 'inactive' END,
	   p.birth_date::timestamptz
	   + make_interval(days => pg_temp.whole(n || '/allergy/day/' || t.number, 300, 1200),
					   secs => pg_temp.whole(n || '/allergy/second', 0, 86399))
FROM generate_series(1, :patients) AS n
JOIN patients p ON p.id = md5('patient/' || n)::uuid
JOIN term t ON t.kind = 'allergy'
WHERE pg_temp.draw(n || '/allergic') < 0.17
	AND pg_temp.draw(n || '/allergy/' || t.number) < 0.45;

INSERT INTO immunizations
SELECT md5('immunization/' || v.key)::uuid, v.patient_id,
	   md5('encounter/' || v.key)::uuid, t.code, t.display, 'completed',
	   v.start_at
FROM visit v
JOIN term t ON t.kind = 'vaccine'
	AND pg_temp.draw(v.key || '/vaccine') < 0.41
	AND t.number = CASE WHEN pg_temp.draw(v.key || '/vaccine/flu') < 0.6 THEN 0
					ELSE pg_temp.whole(v.key || '/vaccine/which', 1, 6) END;

INSERT INTO procedures
SELECT md5('procedure/' || v.key || '/' || k)::uuid, v.patient_id,
	   md5('encounter/' || v.key)::uuid, t.code, t.display, 'completed',
	   v.start_at, v.start_at + make_interval(mins => t.note::int), c.id
FROM visit v
CROSS JOIN generate_series(1, 3) AS k
JOIN term t ON t.kind = 'procedure'
	AND pg_temp.draw(v.key || '/procedure/' || k) < 0.26
	AND t.number = pg_temp.term_number(v.key || '/procedure/which/' || k, 8)
LEFT JOIN conditions c ON c.id = md5('condition/' || v.key)::uuid;

INSERT INTO claims
SELECT md5('claim/' || v.key)::uuid, v.patient_id, e.id, 'institutional',
	   'claim', 'active', e.organization_id,
	   pg_temp.pick(v.n || '/payer',
					'{private,private,private,private,private,private,medicare,medicare,medicaid,no_insurance}'),
	   NULL, e.start_at, e.end_at, e.end_at,
	   round((125 + CASE e.class WHEN 'IMP' THEN 9000 WHEN 'EMER' THEN 1500 ELSE 140 END
			  * pg_temp.draw(v.key || '/cost'))::numeric, 2),
	   'USD', pg_temp.whole(v.key || '/items', 1, 6)
FROM visit v
JOIN encounters e ON e.id = md5('encounter/' || v.key)::uuid;

INSERT INTO claims
SELECT md5('claim/drug/' || v.key)::uuid, v.patient_id, m.encounter_id,
	   'pharmacy', 'claim', 'active', c.provider_ref, c.payer, m.id,
	   c.billable_start, c.billable_end, c.created, 255, 'USD', 1
FROM visit v
JOIN medication_requests m ON m.id = md5('medication/' || v.key)::uuid
JOIN claims c ON c.id = md5('claim/' || v.key)::uuid;

ANALYZE claims;

INSERT INTO eobs
SELECT md5('eob/' || v.key)::uuid, v.patient_id, c.id, 'complete', c.payer,
	   CASE WHEN pg_temp.draw(v.key || '/paid') < 0.42 THEN 0
			ELSE c.total * 0.8 END,
	   c.total, c.payer, c.created
FROM visit v
JOIN claims c ON c.id = md5('claim/' || v.key)::uuid;

INSERT INTO vitals
SELECT md5('vitals/' || v.key || '/' || s.panel)::uuid, v.patient_id,
	   md5('encounter/' || v.key)::uuid, s.loinc, s.display,
	   round((s.low + (s.high - s.low) * pg_temp.draw(v.key || '/vitals/' || s.loinc))::numeric, 1),
	   s.unit, v.start_at
FROM visit v
CROSS JOIN (VALUES
	('pressure', '8480-6', 'Systolic Blood Pressure', 100, 160, 'mm[Hg]', 1.0),
	('pressure', '8462-4', 'Diastolic Blood Pressure', 60, 100, 'mm[Hg]', 1.0),
	('height', '8302-2', 'Body Height', 150, 195, 'cm', 0.95),
	('weight', '29463-7', 'Body Weight', 48, 120, 'kg', 0.95),
	('pain', '72514-3', 'Pain severity - 0-10 verbal numeric rating', 0, 10, '{score}', 1.0),
	('temperature', '8331-1', 'Oral temperature', 36, 39.5, 'Cel', 0.08))
	AS s (panel, loinc, display, low, high, unit, share)
WHERE pg_temp.draw(v.key || '/vitals') < 0.36
	AND pg_temp.draw(v.key || '/vitals/share/' || s.panel) < s.share;

DROP TABLE visit, term, town;
