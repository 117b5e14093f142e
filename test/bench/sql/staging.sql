--
-- Rows for the bulk workloads, the same in every round and every variant.
-- @ROWS@ and @PATIENTS@ are filled in by the harness.
--
INSERT INTO bench.staging
SELECT g::bigint * 7919 % @PATIENTS@ + 1,
	   timestamptz '2024-01-01 08:00+00' + g * interval '17 seconds',
	   (ARRAY['8480-6', '8462-4', '8867-4', '2339-0', '718-7'])[g % 5 + 1],
	   (g::bigint * 31 % 2000) / 10.0,
	   'measured at rest, ward ' || g % 40 || ', sample ' || g,
	   (ARRAY['final', 'preliminary', 'amended'])[g % 3 + 1]
FROM generate_series(1, @ROWS@) AS g;
ANALYZE bench.staging;
