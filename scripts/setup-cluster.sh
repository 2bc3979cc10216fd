#!/usr/bin/env bash
# Makes the control plane of tests/cluster ready: kube-apiserver, kube-controller-manager, etcd and kubectl. What stands
# in KUBEBUILDER_ASSETS is used from there; etcd and kubectl are also taken from PATH. The rest goes into a cache outside
# the tree, keyed by what pins it: built from source (minutes, once), etcd unpacked from Debian's package. Nothing is
# installed into the system, so no root is needed and no service starts. GOFLAGS=-p=1 leaves a busy machine in peace.
set -euo pipefail
cd "$(dirname "$0")/.."

# What this machine has no means for: an error in CI; elsewhere the tests are skipped and name what is missing.
cannot() {
  echo "setup-cluster: $1" >&2
  [ -n "${CI:-}" ] && exit 1
  exit 0
}
[ "$(uname -s)" = Linux ] || cannot "a control plane runs on Linux, this is $(uname -s)"

tools=$PWD/tests/cluster/tools
cache=${OMNIPIPE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/omnipipe}
bin=$cache/kube-$(sha256sum "$tools/go.sum" | cut -c1-16)
mkdir -p "$bin"
if command -v flock >/dev/null; then # two checkouts may set up at once
  exec 9>"$cache/kube.lock"
  flock 9
fi
part=$(mktemp -d "$bin/part.XXXXXX")
trap 'rm -rf "$part"' EXIT

given() { [ -n "${KUBEBUILDER_ASSETS:-}" ] && [ -x "$KUBEBUILDER_ASSETS/$1" ]; }
found() { given "$1" || [ -x "$bin/$1" ]; }

build() {
  command -v go >/dev/null || cannot "no go on PATH to build $* with; install Go 1.24 or later, or set KUBEBUILDER_ASSETS"
  local version minor stamp=k8s.io/component-base/version
  version=$(cd "$tools" && go list -m -f '{{.Version}}' k8s.io/kubernetes)
  minor=${version#v*.}
  echo "setup-cluster: building $* $version into $bin (minutes, once)"
  # The stamp is what the server calls itself; without it clients meet a v0.0.0.
  (cd "$tools" && CGO_ENABLED=0 go build -o "$part/" -ldflags "-s -w -X $stamp.gitVersion=$version \
    -X $stamp.gitMajor=1 -X $stamp.gitMinor=${minor%%.*}" "${@/#/k8s.io/kubernetes/cmd/}")
  mv "${@/#/$part/}" "$bin/"
}

unpack_etcd() {
  command -v apt-get >/dev/null || cannot "no etcd on PATH, and no apt-get to fetch it with; install etcd 3.4 or later"
  echo "setup-cluster: unpacking Debian's etcd-server into $bin"
  chmod 755 "$part" # apt may fetch as a user of its own
  (
    cd "$part"
    apt-get download -qq etcd-server 2>/dev/null || { apt-get update -qq && apt-get download -qq etcd-server; }
    dpkg-deb -x ./etcd-server_*.deb .
  )
  mv "$part/usr/bin/etcd" "$bin/"
}

missing=()
for name in kube-apiserver kube-controller-manager; do found "$name" || missing+=("$name"); done
found kubectl || command -v kubectl >/dev/null || missing+=(kubectl)
[ ${#missing[@]} -eq 0 ] || build "${missing[@]}"
found etcd || command -v etcd >/dev/null || unpack_etcd
