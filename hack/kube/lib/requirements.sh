# What a machine must have for each size of cluster. Sourced.
# shellcheck shell=bash

declare -A package_with=(
  [openssl]=openssl [setpriv]=util-linux [setsid]=util-linux [flock]=util-linux [unshare]=util-linux [nsenter]=util-linux
  [mount]=mount [ip]=iproute2 [nft]=nftables [containerd]=containerd [ctr]=containerd [runc]=runc [buildah]=buildah
  [busybox]=busybox-static [gcc]=gcc
)

# Prints one line for each thing that is missing, with its remedy; nothing when the machine has all.
what_lacks() { # SIZE
  if [ "$(uname -s)" != Linux ]; then
    echo "  - Linux: this is $(uname -s)"
    return
  fi
  local needed=(openssl setpriv setsid flock) missing=() tool
  [ "$1" = control-plane ] || needed+=(unshare nsenter mount ip nft containerd ctr runc buildah busybox gcc)
  for tool in "${needed[@]}"; do
    command -v "$tool" >/dev/null || missing+=("$tool (package ${package_with[$tool]})")
  done
  if [ "$1" = node ]; then
    [ -n "$(cni_plugins)" ] || missing+=("the CNI plugins ptp, host-local, loopback (package containernetworking-plugins)")
    local place
    for place in "$here" "$base"; do
      case $(realpath --canonicalize-missing "$place")/ in
        /run/* | /var/lib/* | /var/log/*) echo "  - $place somewhere else: a node has a /run, /var/lib and /var/log of its own" ;;
      esac
    done
    if [ "$EUID" -ne 0 ]; then
      echo "  - root: a node makes network namespaces, mounts and cgroups; use sudo"
    elif ! unshare --net --mount --pid --fork true 2>/dev/null; then
      echo "  - the right to make namespaces, which root does not have here; in a container, run it with --privileged"
    fi
  fi
  if [ ${#missing[@]} -gt 0 ]; then
    printf '  - %s\n' "${missing[@]}"
    [ "$1" = control-plane ] || echo "    on Debian and Ubuntu, hack/kube/packages installs all of them"
  fi
  what_tools_lack "$1"
}

# The first folder that has the plugins: Debian's, Fedora's, the one of the plugins' own releases.
cni_plugins() {
  local folder
  for folder in /usr/lib/cni /usr/libexec/cni /opt/cni/bin; do
    if [ -x "$folder/ptp" ] && [ -x "$folder/host-local" ] && [ -x "$folder/loopback" ]; then
      echo "$folder"
      return
    fi
  done
}

what_tools_lack() { # SIZE
  local tool
  if [ "$1" = control-plane ] && [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
    for tool in etcd kube-apiserver kubectl; do
      [ -x "$KUBEBUILDER_ASSETS/$tool" ] || echo "  - $tool in $KUBEBUILDER_ASSETS, which KUBEBUILDER_ASSETS names"
    done
  fi
  command -v go >/dev/null || "$here/install" --check "$1" 2>/dev/null ||
    echo "  - Go $(go_needed) or newer in PATH, to build the programs of the cluster (https://go.dev/dl/)"
}
