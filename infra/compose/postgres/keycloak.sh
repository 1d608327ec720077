#!/bin/sh
# Run once, when the database is made: Keycloak's own, which the platform's roles do not see.
set -eu
psql -v ON_ERROR_STOP=1 -v password="$(cat /secrets/keycloak-database)" \
  -U "$POSTGRES_USER" -d "$POSTGRES_DB" <<'SQL'
create role keycloak login password :'password';
create database keycloak owner keycloak;
revoke connect on database keycloak from public;
revoke connect on database orion from public;
SQL
