# Which programs the cluster is made of, where they come from and where they end up. Sourced.
# shellcheck shell=bash disable=SC2034  # the scripts that source this file use what it sets
tools_dir=$here/tools
bin=$here/bin

declare -A module_of=(
  [etcd]=etcd [helm]=helm [coredns]=coredns [kubectl]=kubernetes [kube-apiserver]=kubernetes
  [kube-controller-manager]=kubernetes [kube-scheduler]=kubernetes [kube-proxy]=kubernetes [kubelet]=kubernetes
)
declare -A package_of=(
  [etcd]=go.etcd.io/etcd/server/v3 [helm]=helm.sh/helm/v3/cmd/helm [coredns]=github.com/coredns/coredns
)
for tool in "${!module_of[@]}"; do
  [ "${module_of[$tool]}" != kubernetes ] || package_of[$tool]=k8s.io/kubernetes/cmd/$tool
done

# What a size of cluster takes from here, in the order in which it is wanted. Who brings KUBEBUILDER_ASSETS may bring
# helm too, in PATH.
tools_of() {
  local control_plane="etcd kube-apiserver kubectl helm"
  case $1 in
    control-plane)
      if [ -z "${KUBEBUILDER_ASSETS:-}" ]; then echo "$control_plane"; else command -v helm >/dev/null || echo helm; fi ;;
    node) echo "$control_plane kube-controller-manager kube-scheduler kubelet kube-proxy coredns" ;;
  esac
}

pinned() { # the version of a module, from the go.mod of a family
  awk -v module="$2" '$1 == "require" { $1 = $2; $2 = $3 } $1 == module && $2 ~ /^v/ { print $2; exit }' "$tools_dir/$1/go.mod"
}

go_needed() { awk '$1 == "go" { print $2 }' "$tools_dir"/*/go.mod | sort -V | tail -n 1; }

version_of() {
  case ${module_of[$1]} in
    etcd) pinned etcd go.etcd.io/etcd/server/v3 ;;
    helm) pinned helm helm.sh/helm/v3 ;;
    coredns) pinned coredns github.com/coredns/coredns ;;
    kubernetes) pinned kubernetes k8s.io/kubernetes ;;
  esac
}

# The versions that release builds are stamped with. Without them the API server calls itself v0.0.0, which the kubelet
# refuses, and `helm template` believes in Kubernetes 1.20, which our chart refuses.
ldflags() {
  local kubernetes major minor
  kubernetes=$(version_of kubectl)
  IFS=. read -r major minor _ <<<"${kubernetes#v}"
  case ${module_of[$1]} in
    kubernetes)
      local v=k8s.io/component-base/version
      echo "-X $v.gitVersion=$kubernetes -X $v.gitMajor=$major -X $v.gitMinor=$minor" ;;
    helm)
      local h=helm.sh/helm/v3
      echo "-X $h/internal/version.version=$(version_of helm)" \
        "-X $h/pkg/chartutil.k8sVersionMajor=$major -X $h/pkg/chartutil.k8sVersionMinor=$minor" \
        "-X $h/pkg/lint/rules.k8sVersionMajor=$major -X $h/pkg/lint/rules.k8sVersionMinor=$minor" ;;
  esac
}

program() { # NAME: its path
  case ${KUBEBUILDER_ASSETS:+with-assets}/$1 in
    with-assets/etcd | with-assets/kube-apiserver | with-assets/kubectl) echo "$KUBEBUILDER_ASSETS/$1" ;;
    with-assets/helm) command -v helm || echo "$bin/helm" ;;
    *) echo "$bin/$1" ;;
  esac
}
