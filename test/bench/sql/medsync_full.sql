CREATE EXTENSION medsync;
SELECT medsync.track('bench.t', subject => 'patient_id', payload => 'full');
