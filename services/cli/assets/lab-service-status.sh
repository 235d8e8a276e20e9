#!/usr/bin/env bash
# Whether lab-service.js runs and answers: 0 it does, 3 it does not. It is asked every second or two on every host of a lab, and
# to start Node for that would cost more than all of Holdfast.
# usage: lab-service-status.sh STATE-FOLDER PORT
state=$1 port=$2
[[ $(cat "$state/service-$port.json" 2>/dev/null) =~ \"pid\":([0-9]+),\"start\":\"([0-9]+)\" ]] || exit 3
pid=${BASH_REMATCH[1]} start=${BASH_REMATCH[2]}
# A pid alone may meanwhile be another's: its start time (field 22) tells.
{ read -r line <"/proc/$pid/stat"; } 2>/dev/null || exit 3
read -ra fields <<<"${line##*) }"
[[ ${fields[0]} != Z && ${fields[19]} == "$start" ]] || exit 3
# That very process answers: another program may have the port.
answer=$(exec 2>/dev/null 3<>"/dev/tcp/127.0.0.1/$port" && printf 'GET / HTTP/1.0\r\n\r\n' >&3 && cat <&3)
[[ $answer == *"\"pid\":$pid}"* ]] || exit 3
