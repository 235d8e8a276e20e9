# Sourced by the other scripts: what they start ends with them, within seconds, on Ctrl-C and when they are told to end.
#
#   C1  bash hears a signal only when nothing runs in its foreground: what takes long runs in the background, and is waited for
#   C2  `timeout` leads a process group of its own, which Ctrl-C at a terminal does not reach, and passes what we send on to all of it
#   C3  first what we started ends, then we, by the signal that came: whoever called us and waits ends by it, too
#   C4  a lock (descriptors 8 and 9) is ours alone: a daemon that somebody below us starts would hold it for ever

# Its exit status.
wait_for() { # command...
  local status=0
  "$@" 8<&- 9<&- & # C1, C4
  wait "$!" || status=$?
  return "$status"
}

# The same, with a limit: 124 when it was reached.
limited() { # seconds command...
  wait_for timeout --kill-after=10 "$@"
}

# What else is to be done at the end, in whatever way it comes. Scripts say it anew.
clean_up() { # [signal]
  :
}

end_by() { # signal
  trap '' INT TERM HUP
  # C3. All of them know a limit, so this is no wait for ever.
  # shellcheck disable=SC2046
  kill $(jobs -p) 2>/dev/null || true
  wait
  trap - EXIT
  clean_up "$1"
  trap - "$1"
  kill -s "$1" "$BASHPID"
}

# To be called before the first child is started.
end_with_children() {
  local signal
  # shellcheck disable=SC2064
  for signal in INT TERM HUP; do trap "end_by $signal" "$signal"; done
  trap clean_up EXIT
}
