/*
 * The twelve tables become a ledger.  Rows about a patient are kept under
 * that patient's key, so that they can be erased per person; of public data
 * about organizations and practitioners only hashes are kept.
 */
SELECT medsync.track('hospital.organizations', payload => 'hash');
SELECT medsync.track('hospital.practitioners', payload => 'hash');
SELECT medsync.track('hospital.patients', subject => 'id');
SELECT medsync.track('hospital.encounters', subject => 'patient_id');
SELECT medsync.track('hospital.conditions', subject => 'patient_id');
SELECT medsync.track('hospital.medication_requests', subject => 'patient_id');
SELECT medsync.track('hospital.allergies', subject => 'patient_id');
SELECT medsync.track('hospital.immunizations', subject => 'patient_id');
SELECT medsync.track('hospital.procedures', subject => 'patient_id');
SELECT medsync.track('hospital.claims', subject => 'patient_id');
SELECT medsync.track('hospital.eobs', subject => 'patient_id');
SELECT medsync.track('hospital.vitals', subject => 'patient_id');
