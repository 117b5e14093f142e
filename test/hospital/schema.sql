/*
 * The demo hospital: twelve tables, as an application would have them.
 * Nothing here knows medsync.  Foreign keys and indexes come after the rows,
 * in keys.sql.
 */
CREATE SCHEMA hospital;

SET search_path = hospital;

CREATE TABLE organizations (
	id				uuid PRIMARY KEY,
	name			text NOT NULL,
	phone			text,
	street			text,
	city			text,
	state			text,
	postal_code		text
);

CREATE TABLE practitioners (
	id				uuid PRIMARY KEY,
	npi				text NOT NULL UNIQUE,
	name			text NOT NULL,
	email			text,
	city			text,
	state			text,
	active			boolean NOT NULL
);

CREATE TABLE patients (
	id				uuid PRIMARY KEY,
	given			text NOT NULL,
	family			text NOT NULL,
	gender			text NOT NULL,
	birth_date		date NOT NULL,
	deceased_at		timestamptz,
	marital			text,
	race			text,
	ethnicity		text,
	ssn				text UNIQUE,
	mrn				text NOT NULL UNIQUE,
	phone			text,
	street			text,
	city			text,
	state			text,
	postal_code		text,
	lat				double precision,
	lon				double precision,
	language		text
);

CREATE TABLE encounters (
	id				uuid PRIMARY KEY,
	patient_id		uuid NOT NULL,
	practitioner_id	uuid,
	organization_id	uuid NOT NULL,
	class			text NOT NULL,
	type_code		text,
	type_display	text,
	start_at		timestamptz NOT NULL,
	end_at			timestamptz,
	reason_code		text,
	reason_display	text
);

CREATE TABLE conditions (
	id				uuid PRIMARY KEY,
	patient_id		uuid NOT NULL,
	encounter_id	uuid,
	code			text NOT NULL,
	display			text NOT NULL,
	clinical_status	text NOT NULL,
	onset_at		timestamptz,
	abatement_at	timestamptz
);

CREATE TABLE medication_requests (
	id				uuid PRIMARY KEY,
	patient_id		uuid NOT NULL,
	encounter_id	uuid,
	practitioner_id	uuid,
	status			text NOT NULL,
	intent			text NOT NULL,
	rxnorm			text NOT NULL,
	display			text NOT NULL,
	authored_on		timestamptz NOT NULL,
	dose			numeric,
	frequency		integer,
	period			numeric,
	period_unit		text,
	as_needed		boolean,
	reason_ref		uuid
);

CREATE TABLE allergies (
	id				uuid PRIMARY KEY,
	patient_id		uuid NOT NULL,
	code			text NOT NULL,
	display			text NOT NULL,
	category		text,
	criticality		text,
	clinical_status	text NOT NULL,
	recorded_at		timestamptz
);

CREATE TABLE immunizations (
	id				uuid PRIMARY KEY,
	patient_id		uuid NOT NULL,
	encounter_id	uuid,
	cvx				text NOT NULL,
	display			text NOT NULL,
	status			text NOT NULL,
	occurred_at		timestamptz NOT NULL
);

CREATE TABLE procedures (
	id				uuid PRIMARY KEY,
	patient_id		uuid NOT NULL,
	encounter_id	uuid,
	code			text NOT NULL,
	display			text NOT NULL,
	status			text NOT NULL,
	start_at		timestamptz NOT NULL,
	end_at			timestamptz,
	reason_ref		uuid
);

CREATE TABLE claims (
	id				uuid PRIMARY KEY,
	patient_id		uuid NOT NULL,
	encounter_id	uuid,
	type			text NOT NULL,
	use				text NOT NULL,
	status			text NOT NULL,
	provider_ref	uuid NOT NULL,
	payer			text,
	prescription_ref uuid,
	billable_start	timestamptz,
	billable_end	timestamptz,
	created			timestamptz NOT NULL,
	total			numeric(12,2) NOT NULL,
	currency		text NOT NULL,
	items			integer NOT NULL
);

CREATE TABLE eobs (
	id				uuid PRIMARY KEY,
	patient_id		uuid NOT NULL,
	claim_id		uuid NOT NULL,
	outcome			text NOT NULL,
	payer			text,
	payment			numeric,
	total_submitted	numeric(12,2),
	insurer			text,
	created			timestamptz NOT NULL
);

/* A blood pressure is one id with two rows. */
CREATE TABLE vitals (
	id				uuid,
	patient_id		uuid NOT NULL,
	encounter_id	uuid,
	loinc			text,
	display			text NOT NULL,
	value			numeric NOT NULL,
	unit			text,
	effective_at	timestamptz NOT NULL,
	PRIMARY KEY (id, loinc)
);

/*
 * The people at work.  They have rights on the hospital's tables and none on
 * the ledger.
 */
CREATE ROLE registrar LOGIN;
CREATE ROLE ward_nurse LOGIN;
CREATE ROLE dr_lopez LOGIN;
CREATE ROLE pharmacist LOGIN;
CREATE ROLE billing LOGIN;

GRANT USAGE ON SCHEMA hospital
	TO registrar, ward_nurse, dr_lopez, pharmacist, billing;
GRANT SELECT ON ALL TABLES IN SCHEMA hospital
	TO registrar, ward_nurse, dr_lopez, pharmacist, billing;
GRANT INSERT, UPDATE ON patients, encounters TO registrar;
GRANT INSERT, UPDATE ON vitals, allergies TO ward_nurse;
GRANT INSERT, UPDATE ON encounters, conditions, medication_requests,
	allergies, procedures, immunizations TO dr_lopez;
GRANT UPDATE ON allergies, medication_requests TO pharmacist;
GRANT INSERT, UPDATE, DELETE ON claims, eobs TO billing;
