/*
 * One day, 2021-04-01, as several people write it.  Works on any hospital
 * with the tables of schema.sql and at least one living patient.  The \echo
 * lines are what demo.sh shows.
 */
\set ON_ERROR_STOP on
\pset format unaligned
\pset tuples_only on

\connect - registrar
SET search_path = hospital;
SET TimeZone = 'UTC';

BEGIN;
WITH admitted AS (
	INSERT INTO encounters
	SELECT md5('day/admission/' || p.id)::uuid, p.id, NULL, o.id, 'IMP',
		   '32485007', 'Hospital admission',
		   timestamptz '2021-04-01 07:00'
		   + make_interval(mins => (9 * row_number() OVER (ORDER BY p.id))::int)
	FROM (SELECT id FROM patients WHERE deceased_at IS NULL
		  ORDER BY id LIMIT 12) p,
		 (SELECT id FROM organizations ORDER BY id LIMIT 1) o
	RETURNING 1)
SELECT 'registrar admits ' || count(*) || ' patients' FROM admitted;
COMMIT;

BEGIN;
INSERT INTO patients (id, given, family, gender, birth_date, mrn, city,
					  state, language)
VALUES (md5('day/patient')::uuid, 'Zoë', 'Ångström', 'female', '1987-11-05',
		'MRN-NEW-1', 'Boston', 'Massachusetts', 'sv');
INSERT INTO encounters
SELECT md5('day/admission/new')::uuid, md5('day/patient')::uuid, NULL, id,
	   'EMER', '50849002', 'Emergency room admission', '2021-04-01 08:55'
FROM organizations ORDER BY id LIMIT 1;
COMMIT;
\echo registrar registers a new patient

\connect - ward_nurse
SET search_path = hospital;
SET TimeZone = 'UTC';

/* Three rounds, a transaction each. */
CREATE FUNCTION pg_temp.round(number int, at timestamptz) RETURNS bigint
LANGUAGE sql AS $$
	WITH taken AS (
		INSERT INTO vitals
		SELECT md5('day/vitals/' || number || '/' || e.id)::uuid,
			   e.patient_id, e.id, s.loinc, s.display, s.value + number,
			   s.unit, at
		FROM encounters e,
			 (VALUES ('8480-6', 'Systolic Blood Pressure', 121, 'mm[Hg]'),
					 ('8462-4', 'Diastolic Blood Pressure', 76, 'mm[Hg]'),
					 ('8331-1', 'Oral temperature', 36.4, 'Cel'))
				 AS s (loinc, display, value, unit)
		WHERE e.start_at >= '2021-04-01' AND e.end_at IS NULL
		RETURNING 1)
	SELECT count(*) FROM taken;
$$;
SELECT 'ward_nurse takes ' || pg_temp.round(1, '2021-04-01 10:00') || ' vital signs, first round';
SELECT 'ward_nurse takes ' || pg_temp.round(2, '2021-04-01 14:00') || ' vital signs, second round';
SELECT 'ward_nurse takes ' || pg_temp.round(3, '2021-04-01 18:00') || ' vital signs, third round';

INSERT INTO allergies
SELECT md5('day/allergy')::uuid, id, '91936005', 'Allergy to penicillin',
	   'food', 'low', 'active', '2021-04-01 10:12'
FROM patients WHERE deceased_at IS NULL ORDER BY id LIMIT 1;
\echo ward_nurse enters a penicillin allergy: category food, criticality low

\connect - dr_lopez
SET search_path = hospital;
SET TimeZone = 'UTC';

/* An order for the wrong patient, undone before anyone saw it. */
BEGIN;
INSERT INTO conditions
SELECT md5('day/condition')::uuid, patient_id, NULL, '43878008',
	   'Streptococcal sore throat', 'active', '2021-04-01 10:30'
FROM allergies WHERE id = md5('day/allergy')::uuid;
SAVEPOINT before_order;
INSERT INTO medication_requests (id, patient_id, status, intent, rxnorm,
								 display, authored_on)
VALUES (md5('day/order/wrong')::uuid, md5('day/patient')::uuid, 'active',
		'order', '834061', 'Penicillin V Potassium 250 MG',
		'2021-04-01 10:31');
ROLLBACK TO before_order;
INSERT INTO medication_requests
SELECT md5('day/order/1')::uuid, patient_id, NULL, NULL, 'active', 'order',
	   '834061', 'Penicillin V Potassium 250 MG', '2021-04-01 10:32',
	   1, 4, 1, 'd', false, md5('day/condition')::uuid
FROM allergies WHERE id = md5('day/allergy')::uuid;
COMMIT;
\echo dr_lopez orders penicillin (and takes back an order for the wrong patient)

\connect - billing
SET search_path = hospital;
SET TimeZone = 'UTC';
INSERT INTO claims
SELECT md5('day/claim/' || m.id)::uuid, m.patient_id, NULL, 'pharmacy',
	   'claim', 'active', o.id, 'private', m.id, m.authored_on,
	   m.authored_on, m.authored_on, 255, 'USD', 1
FROM medication_requests m,
	 (SELECT id FROM organizations ORDER BY id LIMIT 1) o
WHERE m.id = md5('day/order/1')::uuid;
\echo billing files a claim for it

\connect - dr_lopez
SET search_path = hospital;
SET TimeZone = 'UTC';
BEGIN;
UPDATE allergies SET criticality = 'high'
WHERE id = md5('day/allergy')::uuid;
UPDATE medication_requests SET status = 'stopped'
WHERE id = md5('day/order/1')::uuid;
INSERT INTO medication_requests
SELECT md5('day/order/2')::uuid, patient_id, NULL, NULL, 'active', 'order',
	   '308460', 'Azithromycin 250 MG Oral Tablet', '2021-04-01 11:05',
	   1, 1, 1, 'd', false, md5('day/condition')::uuid
FROM medication_requests WHERE id = md5('day/order/1')::uuid;
COMMIT;
\echo dr_lopez corrects the allergy to criticality high, stops penicillin, orders azithromycin

\connect - pharmacist
SET search_path = hospital;
UPDATE allergies SET category = 'medication'
WHERE id = md5('day/allergy')::uuid;
\echo pharmacist corrects the category to medication

\connect - billing
SET search_path = hospital;
DELETE FROM claims WHERE id = md5('day/claim/' || md5('day/order/1')::uuid)::uuid;
\echo billing deletes the claim for the drug that was stopped

\connect - registrar
SET search_path = hospital;
SET TimeZone = 'UTC';
UPDATE patients SET street = '12 Harbor Way', postal_code = '02110'
WHERE id = md5('day/patient')::uuid;
WITH gone AS (
	UPDATE encounters SET end_at = '2021-04-01 19:30'
	WHERE id IN (SELECT id FROM encounters
				 WHERE start_at >= '2021-04-01' AND end_at IS NULL
				 ORDER BY start_at LIMIT 5)
	RETURNING 1)
SELECT 'registrar discharges ' || count(*) || ' patients, corrects an address' FROM gone;
