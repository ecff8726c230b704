# The images that every node needs, made from scratch, because no registry is asked: pause, busybox, CoreDNS. Sourced.
# shellcheck shell=bash
images=$bin/images

# Makes the archives that are missing or older than what they hold.
make_images() {
  local lock
  mkdir -p "$images"
  exec {lock}>"$images/.lock"
  flock "$lock"
  if is_stale pause "$here/node/pause.c"; then
    gcc -static -Os -s -o "$images/pause" "$here/node/pause.c"
    make_image pause "$images/pause" 'COPY pause /pause' 'USER 65535:65535' 'ENTRYPOINT ["/pause"]'
    rm "$images/pause"
  fi
  if is_stale busybox "$(command -v busybox)"; then
    make_image busybox "$(command -v busybox)" 'COPY busybox /bin/busybox' 'COPY busybox /bin/sh' 'ENV PATH=/bin'
  fi
  if is_stale coredns "$bin/coredns"; then
    make_image coredns "$bin/coredns" 'COPY coredns /coredns' 'USER 65532:65532' 'ENTRYPOINT ["/coredns"]'
  fi
  exec {lock}>&-
}

is_stale() { # NAME SOURCE
  [ "$2" -nt "$images/$1.tar" ] || [ "$here/lib/images.sh" -nt "$images/$1.tar" ]
}

# A "docker" archive, because its layers are not compressed: a node reads them at every start.
# In a store of its own below the archive's folder, which is thrown away: the user's images are not our business.
make_image() ( # NAME FILE INSTRUCTION…
  name=$1 file=$2
  shift 2
  store=$(mktemp -d "$images/store-XXXXXX")
  trap 'rm -rf "$store"' EXIT
  engine() { buildah --root "$store/root" --runroot "$store/run" --storage-driver vfs "$@" 2>>"$store/log" || { tail -n 20 "$store/log" >&2; return 1; }; }
  echo "hack/kube/cluster: making the image $name" >&2
  mkdir "$store/context"
  cp "$file" "$store/context/$name"
  printf '%s\n' 'FROM scratch' "$@" >"$store/Containerfile"
  engine bud -q --isolation chroot --tag "localhost/$name:1" --file "$store/Containerfile" "$store/context" >/dev/null
  engine push -q "localhost/$name:1" "docker-archive:$images/.$name.tar:localhost/$name:1"
  mv "$images/.$name.tar" "$images/$name.tar"
)
