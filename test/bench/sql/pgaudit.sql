--
-- Peer: pgaudit.  It records statements, not rows, in the server's log;
-- its cluster has shared_preload_libraries = 'pgaudit', pgaudit.log = 'write'
-- and the logging collector.
--
CREATE EXTENSION pgaudit;
