# The images that every node needs, made from scratch, because no registry is asked: pause, busybox, CoreDNS. Sourced.
# shellcheck shell=bash
images=$bin/images

# Makes the archives that are missing or older than what they hold.
make_images() {
  local lock
  mkdir -p "$images"
  exec {lock}>"$images/.lock"
  flock "$lock"
  is_current_image pause "$here/node/pause.c" || make_image pause 'USER 65535:65535' 'ENTRYPOINT ["/pause"]'
  is_current_image busybox "$(command -v busybox)" || make_image busybox 'ENV PATH=/bin'
  is_current_image coredns "$bin/coredns" || make_image coredns 'USER 65532:65532' 'ENTRYPOINT ["/coredns"]'
  exec {lock}>&-
}

is_current_image() { # NAME SOURCE
  [ "$images/$1.tar" -nt "$2" ] && [ "$images/$1.tar" -nt "$here/lib/images.sh" ]
}

# In a store of its own below the archive's folder, which is thrown away: the user's images are not our business.
# A "docker" archive, because its layers are not compressed: a node reads them at every start.
make_image() ( # NAME INSTRUCTION…
  name=$1
  shift
  store=$(mktemp -d "$images/store-XXXXXX")
  trap 'rm -rf "$store"' EXIT
  engine() { buildah --root "$store/root" --runroot "$store/run" --storage-driver vfs "$@" 2>>"$store/log" || { tail -n 20 "$store/log" >&2; return 1; }; }
  echo "hack/kube/cluster: making the image $name" >&2
  mkdir "$store/files"
  "files_of_$name" "$store/files"
  printf '%s\n' 'FROM scratch' 'COPY . /' "$@" >"$store/Containerfile"
  engine bud -q --isolation chroot --tag "localhost/$name:1" --file "$store/Containerfile" "$store/files" >/dev/null
  engine push -q "localhost/$name:1" "docker-archive:$images/.$name.tar:localhost/$name:1"
  mv "$images/.$name.tar" "$images/$name.tar"
)

files_of_pause() { gcc -static -Os -s -o "$1/pause" "$here/node/pause.c"; }

files_of_coredns() { cp "$bin/coredns" "$1/coredns"; }

files_of_busybox() {
  mkdir "$1/bin"
  mkdir -m 1777 "$1/tmp"
  cp "$(command -v busybox)" "$1/bin/busybox"
  local applet
  for applet in $(busybox --list); do [ "$applet" = busybox ] || ln -s busybox "$1/bin/$applet"; done
}
