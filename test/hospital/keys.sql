/* Foreign keys and their indexes, once the rows are in. */
SET search_path = hospital;

CREATE INDEX ON encounters (patient_id, start_at);
CREATE INDEX ON encounters (practitioner_id);
CREATE INDEX ON encounters (organization_id);
CREATE INDEX ON conditions (patient_id);
CREATE INDEX ON conditions (encounter_id);
CREATE INDEX ON medication_requests (patient_id);
CREATE INDEX ON medication_requests (encounter_id);
CREATE INDEX ON allergies (patient_id);
CREATE INDEX ON immunizations (patient_id);
CREATE INDEX ON immunizations (encounter_id);
CREATE INDEX ON procedures (patient_id);
CREATE INDEX ON procedures (encounter_id);
CREATE INDEX ON claims (patient_id);
CREATE INDEX ON claims (encounter_id);
CREATE INDEX ON claims (prescription_ref);
CREATE INDEX ON eobs (patient_id);
CREATE INDEX ON eobs (claim_id);
CREATE INDEX ON vitals (patient_id);
CREATE INDEX ON vitals (encounter_id);

ALTER TABLE encounters
	ADD FOREIGN KEY (patient_id) REFERENCES patients,
	ADD FOREIGN KEY (practitioner_id) REFERENCES practitioners,
	ADD FOREIGN KEY (organization_id) REFERENCES organizations;
ALTER TABLE conditions
	ADD FOREIGN KEY (patient_id) REFERENCES patients,
	ADD FOREIGN KEY (encounter_id) REFERENCES encounters;
ALTER TABLE medication_requests
	ADD FOREIGN KEY (patient_id) REFERENCES patients,
	ADD FOREIGN KEY (encounter_id) REFERENCES encounters,
	ADD FOREIGN KEY (practitioner_id) REFERENCES practitioners,
	ADD FOREIGN KEY (reason_ref) REFERENCES conditions;
ALTER TABLE allergies
	ADD FOREIGN KEY (patient_id) REFERENCES patients;
ALTER TABLE immunizations
	ADD FOREIGN KEY (patient_id) REFERENCES patients,
	ADD FOREIGN KEY (encounter_id) REFERENCES encounters;
ALTER TABLE procedures
	ADD FOREIGN KEY (patient_id) REFERENCES patients,
	ADD FOREIGN KEY (encounter_id) REFERENCES encounters,
	ADD FOREIGN KEY (reason_ref) REFERENCES conditions;
ALTER TABLE claims
	ADD FOREIGN KEY (patient_id) REFERENCES patients,
	ADD FOREIGN KEY (encounter_id) REFERENCES encounters,
	ADD FOREIGN KEY (provider_ref) REFERENCES organizations,
	ADD FOREIGN KEY (prescription_ref) REFERENCES medication_requests;
ALTER TABLE eobs
	ADD FOREIGN KEY (patient_id) REFERENCES patients,
	ADD FOREIGN KEY (claim_id) REFERENCES claims;
ALTER TABLE vitals
	ADD FOREIGN KEY (patient_id) REFERENCES patients,
	ADD FOREIGN KEY (encounter_id) REFERENCES encounters;

ANALYZE;
