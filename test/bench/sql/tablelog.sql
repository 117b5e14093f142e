--
-- Peer: table_log (Debian's postgresql-15-tablelog), a C row trigger that
-- writes rows of the table's own shape.  Level 5: with a number and the user
-- in each.  Its trigger runs with the writer's rights, so that the writer
-- needs them on the log.
--
CREATE EXTENSION table_log;
SELECT table_log_init(5, 'bench', 't', 'bench', 't_log');
GRANT INSERT ON bench.t_log TO bench_app;
GRANT USAGE ON SEQUENCE bench.t_log_seq TO bench_app;
