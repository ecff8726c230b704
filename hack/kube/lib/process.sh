# Processes that cannot outlive the script that started them. Sourced.
# shellcheck shell=bash

# Becomes COMMAND, which the kernel will kill when this script dies. To be called in the background ("start_child … &").
# setpriv sets the signal; the comparison catches a script that died just before it did.
start_child() { # COMMAND…
  # shellcheck disable=SC2016
  exec setpriv --pdeathsig KILL -- bash -c '[ "$PPID" -eq "$0" ] && exec "$@"' $$ "$@"
}

# The rest is for lib/inside-*: programs by name, their logs in $run/log.
declare -A pid_of=()

start() { # NAME COMMAND…
  local name=$1
  shift
  start_child "$@" </dev/null >>"$run/log/$name.log" 2>&1 &
  pid_of[$name]=$!
}

restart_hard() { # NAME COMMAND…: as a crash would, not as a polite stop
  kill -KILL "${pid_of[$1]}" 2>/dev/null || true
  wait "${pid_of[$1]}" 2>/dev/null || true
  start "$@"
}

all_live() { # or the cluster ends with an explanation
  local name
  for name in "${!pid_of[@]}"; do
    kill -0 "${pid_of[$name]}" 2>/dev/null || give_up "$name has died" "$name"
  done
}

# Waits until TEST succeeds; ends the cluster with an explanation when that takes too long or a program dies.
await() { # SECONDS NAME TEST…
  local deadline=$((SECONDS + $1)) name=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    all_live
    [ "$SECONDS" -lt "$deadline" ] || give_up "$name did not become ready ($*)" "$name"
    sleep 0.1
  done
}

# The folder of the run goes with the cluster, so the logs are put aside, for a day.
give_up() { # WHY NAME
  local kept
  kept=$(dirname "$run")/failed/$(basename "$run")
  mkdir -p "$(dirname "$kept")"
  rm -rf "$kept"
  cp -r "$run/log" "$kept"
  {
    echo "hack/kube/cluster: $1. The end of its log ($kept/$2.log):"
    tail -n 20 "$kept/$2.log" | cut -c 1-500 | sed 's/^/  /'
  } >&2
  exit 1
}

# Obeys the lines on stdin; ends the cluster when one of its programs dies. A command NAME is the
# function command_NAME, which may say why it failed.
serve_commands() {
  local line='' part status
  while true; do
    status=0
    read -r -t 0.5 part || status=$?
    line+=$part
    if [ "$status" -eq 0 ]; then
      obey "$line"
      line=''
    elif [ "$status" -le 128 ]; then # not the time-out: the end, which is for ../cluster to act on
      wait
    fi
    all_live
  done
}

obey() { # LINE
  if ! [[ $1 =~ ^[a-z-]+$ ]] || ! declare -F "command_$1" >/dev/null; then
    echo "FAILED ${1:0:60}: unknown command; valid are $(declare -F | sed -n 's/^declare -f command_//p' | paste -sd ' ')"
    return
  fi
  "command_$1"
  echo "DONE $1"
}
