#!/bin/sh
# A hook or a command of a resource that a test can hold, or make fail, while it runs.
#
#   point.sh FOLDER NAME
#
# FOLDER/NAME.hold keeps it running until the file is gone (a test sees FOLDER/NAME.HOST.reached); FOLDER/NAME.fail makes
# it fail, NAME.HOST.fail only on that host. FOLDER/calls has one line for each run: NAME HOST EPOCH.
set -u
folder=$1; name=$2; host=$(hostname)
echo "$name $host ${HOLDFAST_EPOCH:-}" >>"$folder/calls"
if [ -e "$folder/$name.hold" ]; then
  : >"$folder/$name.$host.reached"
  while [ -e "$folder/$name.hold" ]; do sleep 0.05; done
fi
if [ -e "$folder/$name.fail" ] || [ -e "$folder/$name.$host.fail" ]; then echo "$name was told to fail" >&2; exit 1; fi
exit 0
