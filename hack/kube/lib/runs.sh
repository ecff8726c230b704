# The folder of each running cluster: claimed by one, found when left over, removed. Sourced.
# shellcheck shell=bash
#
# Every process of a run inherits one descriptor that holds the lock of its folder. So the lock is free exactly when
# nothing of the run is alive any more, whatever killed it: then, and only then, the folder may be removed.
base=${VERTEX_INJECTOR_KUBE_DIR:-${TMPDIR:-/tmp}/vertex-injector-kube-$UID}
# shellcheck source=cgroups.sh
. "$here/lib/cgroups.sh"

# Removes what crashed runs have left, then makes $run and locks it by $run_lock. The name of a control plane's folder
# is also its claim on the port.
claim_run() { # SIZE
  mkdir -p "$(dirname "$base")"
  mkdir -m 700 "$base" 2>/dev/null || true
  if [ -L "$base" ] || [ ! -O "$base" ]; then
    echo "hack/kube: $base must be a folder of yours; set VERTEX_INJECTOR_KUBE_DIR to another one" >&2
    exit 1
  fi
  if [ ${#base} -gt 70 ]; then # a Unix socket's path has room for 107 bytes
    echo "hack/kube: $base is too long for the sockets inside it (70 characters); set VERTEX_INJECTOR_KUBE_DIR to a shorter one" >&2
    exit 1
  fi
  local old
  lock_base
  for old in "$base"/control-plane-* "$base"/node-*; do
    [ ! -d "$old" ] || is_alive "$old" || remove_run "$old"
  done
  find "$base/failed" -mindepth 1 -maxdepth 1 -mtime +0 -exec rm -rf {} + 2>/dev/null || true
  case $1 in
    control-plane) run=$base/control-plane-$(claim_port) ;;
    node) run=$(mktemp -d "$base/node-XXXXXX") ;;
  esac
  exec {run_lock}>"$run/lock"
  flock "$run_lock"
  unlock_base
}

# Removes a run when nothing of it is alive any more (waits for that, at most 10 s).
remove_dead_run() { # RUN
  flock --timeout 10 "$1/lock" true 2>/dev/null || true
  lock_base
  remove_run "$1"
  unlock_base
}

# Names are claimed and given up one at a time: what removes an old run must not hit a new one of the same name.
lock_base() { exec {base_lock}>"$base/.lock"; flock "$base_lock"; }
unlock_base() { exec {base_lock}>&-; }

# Below the ports that systems hand out by themselves (32768 and up), so that only another server can be there.
claim_port() {
  local port
  for _ in {1..200}; do
    port=$((20000 + RANDOM % 10000))
    if ! (: <>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && mkdir -m 700 "$base/control-plane-$port" 2>/dev/null; then
      echo "$port"
      return
    fi
  done
  echo "hack/kube: no free port between 20000 and 29999 on 127.0.0.1" >&2
  return 1
}

is_alive() { # RUN
  ! flock --nonblock "$1/lock" true 2>/dev/null
}

# Succeeds as soon as nothing of the run is left on the machine.
remove_run() { # RUN
  for _ in {1..50}; do
    remove_cgroups "$(basename "$1")"
    rm -rf "$1" 2>/dev/null || true
    [ -e "$1" ] || return 0
    sleep 0.1 # the last processes of a namespace may still be dying
  done
  echo "hack/kube: $1 cannot be removed: $(ls -A "$1" 2>/dev/null)" >&2
  return 1
}
