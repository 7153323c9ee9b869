-- name: make_role_and_database
-- Run once by PostgreSQL's single-user mode in a new cluster; a blank line ends a statement there.
-- The password is put in as text (utility statements take no parameters): letters, digits, - and _ only.
CREATE ROLE hub LOGIN CREATEDB PASSWORD '{password}';

GRANT pg_monitor, pg_checkpoint TO hub;

CREATE DATABASE wattwire OWNER hub;

-- name: change_password
-- Run by the single-user mode when the file with the password is lost.
ALTER ROLE hub PASSWORD '{password}';
