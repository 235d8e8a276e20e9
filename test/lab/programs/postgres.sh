#!/bin/sh
# PostgreSQL with its data below a folder, as a resource of a group, and its programs as its own user.
#
#   postgres.sh start|stop|status FOLDER
#   postgres.sh run FOLDER PROGRAM [ARGUMENT...]
set -eu
verb=$1
data=$2/pg
shift 2
export PGHOST=/run/holdfast-postgres PGDATABASE=postgres
programs=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
run() {
  program=$programs/$1
  shift
  cd / && setpriv --reuid postgres --regid postgres --init-groups "$program" "$@"
}

# Made beside, so that a power cut leaves all of it or nothing.
make() {
  rm -rf "$data.new"
  install -d -o postgres -g postgres -m 700 "$data.new"
  run initdb --pgdata "$data.new" --data-checksums --auth trust --no-locale >/dev/null
  cat >>"$data.new/postgresql.conf" <<END
listen_addresses = ''
unix_socket_directories = '$PGHOST'
shared_buffers = 16MB
min_wal_size = 32MB
max_wal_size = 64MB
END
  mv "$data.new" "$data"
  sync -f "$data"
}

case $verb in
start)
  [ -e "$data" ] || make
  install -d -o postgres -g postgres "$PGHOST"
  run pg_ctl --pgdata "$data" --wait --timeout 60 --log "$data/log" start
  ;;
stop) [ ! -e "$data" ] || ! run pg_ctl --pgdata "$data" status || run pg_ctl --pgdata "$data" --mode fast --wait stop ;;
status) run pg_ctl --pgdata "$data" status ;;
run) run "$@" ;;
esac
