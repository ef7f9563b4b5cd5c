# SPDX-License-Identifier: GPL-2.0-only
#
# What the scripts that install have in common: sourced, with $cache and $log set.

export LC_ALL=C DEBIAN_FRONTEND=noninteractive

die() { echo "deps: $*" >&2; exit 1; }
say() { echo "deps: $*" >&2; }

updated=
apt_update() {
	apt-get -q update >"$log" 2>&1 || { cat "$log" >&2; die "apt-get update failed"; }
	updated=1
}

candidate() { apt-cache policy "$1" | awk '/Candidate:/ { print $2 }'; }

apt_install() {
	say "installing: $*"
	apt-get -q -y --no-install-recommends -o DPkg::Lock::Timeout=600 install "$@" >"$log" 2>&1 ||
		{ cat "$log" >&2; die "apt-get install failed"; }
}

codename() { (. /etc/os-release && echo "${VERSION_CODENAME:-}"); }

# The mirror the machine's own suite comes from.
mirror() {
	apt-get indextargets --format '$(RELEASE)|$(CODENAME)|$(COMPONENT)|$(REPO_URI)' 'Created-By: Packages' |
	awk -F'|' -v c="$(codename)" '($1 == c || $2 == c) && $3 == "main" { print $4; exit }'
}

# One lock for the machine (apt) and one for the cache, always in this order; both end with the script.
lock_machine() {
	mkdir -p /run/lock 2>/dev/null || true
	[ "$(id -u)" != 0 ] || { exec 8>/run/lock/ckpt-deps.lock; flock 8; }
	mkdir -p "$cache"
	exec 9>"$cache/.lock"
	flock 9
}
