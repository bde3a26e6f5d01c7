#!/bin/bash
# Installs the package on a bare Debian, runs it there as the service that it is, and removes it: what has to hold of each
# is printed, and the first thing that does not hold ends it with an error.
#
#   packaging/check.sh PACKAGE.deb [FOLDER]
#
# FOLDER is a bare Debian with systemd to copy instead of making one. Needs root, debootstrap and systemd-container (systemd-nspawn), and the Debian mirror. Where systemd cannot be booted
# in a container, the package is installed in a chroot, and of the unit only its score is printed; that is said.
set -euo pipefail

package="$(readlink -f "${1:?which package? give the .deb that packaging/debian/build has made}")"
here="$(dirname "$(readlink -f "$0")")"
suite="${SUITE:-bookworm}"
work="$(mktemp -d)"
trap 'rm -rf --one-file-system "$work"' EXIT
bare="$work/debian"

say() { printf '%s\n' "$*"; }
fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }

say "== the package"
say "size: $(stat -c %s "$package") bytes; $(dpkg-deb -f "$package" Depends)"

say "== the unit, as systemd-analyze judges it (0 is safest, 10 is not safe at all)"
systemd-analyze security --offline=true --no-pager "$here/systemd/certsift.service" | tail -n 1
# The program need not be on this machine.
mistakes="$(systemd-analyze verify --man=no "$here/systemd/certsift.service" 2>&1 | grep -v 'is not executable' || true)"
[[ "$mistakes" != *certsift* ]] || fail "the unit has mistakes: $mistakes"

say "== a bare Debian ($suite, minbase)"
if [ -n "${2:-}" ]; then
    cp -a "$2" "$bare"
else
    debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus "$suite" "$bare" >"$work/debootstrap.log" ||
        fail "debootstrap: $(tail -n 3 "$work/debootstrap.log")"
fi
say "packages before: $(find "$bare/var/lib/dpkg/info" -name '*.list' | wc -l)"
install -m 0644 "$package" "$bare/root/certsift.deb"
install -m 0755 "$here/check-inside.sh" "$bare/root/check-inside.sh"

# What is to be said comes through a file: the console belongs to the boot.
cat >"$bare/etc/systemd/system/check.service" <<'END'
[Unit]
After=multi-user.target
[Service]
Type=oneshot
ExecStart=-/bin/sh -c '/root/check-inside.sh >/root/said 2>&1; echo $? >/root/code'
ExecStopPost=/bin/systemctl --no-block poweroff
[Install]
WantedBy=default.target
END
mkdir -p "$bare/etc/systemd/system/default.target.wants"
ln -s ../check.service "$bare/etc/systemd/system/default.target.wants/check.service"

timeout 300 systemd-nspawn --quiet --directory "$bare" --boot --register=no --keep-unit --private-network \
    >"$work/console.log" 2>&1 </dev/null || true
if [ -e "$bare/root/code" ]; then
    cat "$bare/root/said"
    [ "$(cat "$bare/root/code")" = 0 ] || fail "see above"
else
    say "SKIPPED: systemd cannot be booted here ($(tail -n 1 "$work/console.log" | tr -d '\r')); in a chroot instead"
    chroot "$bare" /root/check-inside.sh || fail "see above"
fi
say "== all that had to hold held"
