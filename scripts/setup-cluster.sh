#!/usr/bin/env bash
# Makes the programs ready that a cluster on this machine needs. Without an argument: the control plane of
# tests/cluster (kube-apiserver, kube-controller-manager, etcd, kubectl), helm, and Prometheus for the dashboards.
# `setup-cluster.sh node`: those of a cluster with a node too, for `make cluster` and tests/e2e (kubelet, containerd,
# CoreDNS, ...).
#
# What stands in KUBEBUILDER_ASSETS is used from there; some are also taken from PATH. The rest goes into a cache
# outside the tree, keyed by what pins it: built from source (minutes, once), etcd and Prometheus unpacked from Debian's
# packages. The control plane installs nothing into the system and needs no root; the node's parts that are no Go
# programs are installed with apt-get when we are root, and no service starts. GOFLAGS=-p=1 leaves a busy machine in
# peace.
set -euo pipefail
cd "$(dirname "$0")/.."
with_node=$([ "${1:-}" = node ] && echo yes || true)

# Programs with modules of their own, each at the version written here.
coredns=github.com/coredns/coredns@v1.14.7
helm=helm.sh/helm/v3/cmd/helm@v3.22.0
packages=(containerd runc buildah containernetworking-plugins iptables conntrack debootstrap)

# What this machine has no means for: an error in CI; elsewhere the tests are skipped and name what is missing.
cannot() {
  echo "setup-cluster: $1" >&2
  [ -n "${CI:-}" ] && exit 1
  exit 0
}
[ "$(uname -s)" = Linux ] || cannot "a cluster runs on Linux, this is $(uname -s)"

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
need_go() {
  command -v go >/dev/null || cannot "no go on PATH to build $* with; install Go 1.24 or later, or set KUBEBUILDER_ASSETS"
}

build() {
  need_go "$@"
  local version minor stamp=k8s.io/component-base/version
  version=$(cd "$tools" && go list -m -f '{{.Version}}' k8s.io/kubernetes)
  minor=${version#v*.}
  echo "setup-cluster: building $* $version into $bin (minutes, once)"
  # The stamp is what the server calls itself; without it clients meet a v0.0.0.
  (cd "$tools" && CGO_ENABLED=0 go build -o "$part/" -ldflags "-s -w -X $stamp.gitVersion=$version \
    -X $stamp.gitMajor=1 -X $stamp.gitMinor=${minor%%.*}" "${@/#/k8s.io/kubernetes/cmd/}")
  mv "${@/#/$part/}" "$bin/"
}

build_pinned() { # name, module@version: in a folder of that version, and linked
  local name=$1 module=$2 home
  home=$cache/programs/$name-${module##*@}
  if [ ! -x "$home/$name" ]; then
    need_go "$name"
    echo "setup-cluster: building $name ${module##*@} (minutes, once)"
    CGO_ENABLED=0 GOFLAGS="${GOFLAGS:-} -trimpath" GOBIN=$part go install -ldflags "-s -w" "$module"
    mkdir -p "$home"
    mv "$part/$name" "$home/"
  fi
  ln -sfn "$home/$name" "$bin/$name"
}

unpack() { # Debian's package, programs of it
  local package=$1 name
  shift
  command -v apt-get >/dev/null || cannot "no $1 on PATH, and no apt-get to fetch it with; install $package"
  echo "setup-cluster: unpacking Debian's $package into $bin"
  chmod 755 "$part" # apt may fetch as a user of its own
  (
    cd "$part"
    apt-get download -qq "$package" 2>/dev/null || { apt-get update -qq && apt-get download -qq "$package"; }
    dpkg-deb -x "./$package"_*.deb .
  )
  for name in "$@"; do mv "$part/usr/bin/$name" "$bin/"; done
}

install_packages() {
  local lacking=()
  command -v dpkg-query >/dev/null || return 0
  for name in "${packages[@]}"; do
    dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q "ok installed" || lacking+=("$name")
  done
  [ ${#lacking[@]} -eq 0 ] && return 0
  echo "setup-cluster: installing ${lacking[*]}"
  # RUNLEVEL: services that come with them are not started.
  export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
  apt-get install -y -qq --no-install-recommends "${lacking[@]}" >/dev/null 2>&1 ||
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${lacking[@]}" >/dev/null; } ||
    cannot "apt-get could not install ${lacking[*]}"
}

wanted=(kube-apiserver kube-controller-manager)
[ -z "$with_node" ] || wanted+=(kube-scheduler kubelet kube-proxy)
missing=()
for name in "${wanted[@]}"; do found "$name" || missing+=("$name"); done
found kubectl || command -v kubectl >/dev/null || missing+=(kubectl)
[ ${#missing[@]} -eq 0 ] || build "${missing[@]}"
found etcd || command -v etcd >/dev/null || unpack etcd-server etcd
found helm || command -v helm >/dev/null || build_pinned helm "$helm"
found prometheus || command -v prometheus >/dev/null || unpack prometheus prometheus promtool
[ -n "$with_node" ] || exit 0

[ "$(id -u)" = 0 ] || cannot "a cluster of its own needs root (namespaces, mounts, cgroups); set KUBECONFIG to use another"
install_packages
given coredns || build_pinned coredns "$coredns"
if ! found pause; then
  need_go pause
  (cd scripts/cluster/pause && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o "$part/pause" .)
  mv "$part/pause" "$bin/"
fi
