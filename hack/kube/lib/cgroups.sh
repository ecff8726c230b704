# The cgroup of each node, below which its kubelet works: two kubelets in one would kill each other's pods. Sourced.
# shellcheck shell=bash

cgroup_of() { echo "vertex-injector-$1"; } # NAME of the run

cgroup_hierarchies() { awk '$3 == "cgroup" || $3 == "cgroup2" { print $2 }' /proc/mounts | sort -u; }

make_cgroups() { # NAME
  local at cgroup file
  for at in $(cgroup_hierarchies); do
    cgroup=$at/$(cgroup_of "$1")
    mkdir "$cgroup"
    for file in cpuset.cpus cpuset.mems; do # version 1: empty at first, and nothing can run in an empty one
      if [ -e "$at/$file" ]; then cat "$at/$file" >"$cgroup/$file"; fi
    done
    if [ -e "$at/cgroup.subtree_control" ]; then # version 2: controllers reach us only when the root passes them on
      local controllers controller
      read -ra controllers <"$at/cgroup.controllers" || true
      for controller in "${controllers[@]}"; do
        echo "+$controller" >"$at/cgroup.subtree_control" 2>/dev/null || true
      done
    fi
  done
}

remove_cgroups() { # NAME
  local at cgroup pid
  for at in $(cgroup_hierarchies); do
    cgroup=$at/$(cgroup_of "$1")
    [ -d "$cgroup" ] || continue
    find "$cgroup" -name cgroup.procs -exec cat {} + 2>/dev/null | while read -r pid; do kill -KILL "$pid" 2>/dev/null || true; done
    find "$cgroup" -depth -type d -exec rmdir {} + 2>/dev/null || true
  done
}
