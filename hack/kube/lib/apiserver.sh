# etcd and kube-apiserver, the part that both sizes of cluster share. Sourced by lib/inside-*.
# shellcheck shell=bash
# shellcheck source=pki.sh
. "$here/lib/pki.sh"

# Wants in $apiserver_flags what differs between the sizes. etcd listens on a socket: nobody else can reach it, and
# there is no port to collide with. It does not wait for the disk, because its data ends with the cluster.
start_apiserver() {
  # What ServiceAccounts ask for, without what they send.
  printf '%s\n' '{"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],' \
    '"rules": [{"level": "Metadata", "userGroups": ["system:serviceaccounts"]}]}' >"$run/audit.json"
  start etcd "$(program etcd)" --data-dir "$run/etcd" --unsafe-no-fsync --log-level warn \
    --listen-client-urls "unix://$run/etcd.sock" --advertise-client-urls http://localhost:2379 \
    --listen-peer-urls "unix://$run/etcd-peer.sock" --initial-advertise-peer-urls http://localhost:2380
  # The second plugin is OpenShift's choice: who makes one object go with another has to be allowed to delete it.
  # shellcheck disable=SC2054  # the comma belongs to the flag
  apiserver=("$(program kube-apiserver)" --etcd-servers="unix://$run/etcd.sock"
    --tls-cert-file="$run/pki/apiserver.crt" --tls-private-key-file="$run/pki/apiserver.key" --client-ca-file="$run/pki/ca.crt"
    --service-account-key-file="$run/pki/sa.pub" --service-account-signing-key-file="$run/pki/sa.key"
    --service-account-issuer="$issuer" --service-cluster-ip-range=10.96.0.0/16
    --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction,OwnerReferencesPermissionEnforcement --allow-privileged
    --audit-policy-file="$run/audit.json" --audit-log-path="$run/audit.log" --audit-log-maxsize=100 --audit-log-maxbackup=1
    "${apiserver_flags[@]}")
  start kube-apiserver "${apiserver[@]}"
}

await_apiserver() { await 60 kube-apiserver kubectl get --raw /readyz; }

command_restart-apiserver() {
  restart_hard kube-apiserver "${apiserver[@]}"
  await_apiserver
}

# As on a disk that does not answer.
command_pause-etcd() { kill -STOP "${pid_of[etcd]}"; }
command_resume-etcd() { kill -CONT "${pid_of[etcd]}"; }

# The cache of API discovery is kept apart: the next cluster on this port has other resources.
kubectl() { KUBECACHEDIR=$run/kube-cache "$(program kubectl)" --kubeconfig "$run/kubeconfig" --request-timeout 10s "$@"; }

# Prints the facts for a program and, when a person is reading, how to go on.
announce() {
  touch "$run/ready"
  printf '%s\n' "KUBECONFIG=$run/kubeconfig" "KUBECTL=$(program kubectl)" "HELM=$(program helm)" "DIR=$run" READY
  if [ -t 1 ]; then
    cat >&2 <<E

The cluster is up. In another terminal:

  export KUBECONFIG=$run/kubeconfig KUBECACHEDIR=$run/kube-cache
  ${enter:+$enter }$(program kubectl) get namespaces

Ctrl-C stops it and removes everything.
E
  fi
}
