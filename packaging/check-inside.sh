#!/bin/bash
# The part of check.sh that runs on the bare Debian.
set -euo pipefail

say() { printf '%s\n' "$*"; }
fail() {
    printf 'FAILED: %s\n' "$*"
    [ -d /run/systemd/system ] && journalctl --no-pager -u certsift.service | tail -n 30
    exit 1
}
wait_for() {
    local what="$1"
    shift
    for _ in $(seq 300); do
        "$@" >/dev/null 2>&1 && return
        sleep 0.1
    done
    fail "waited in vain: $what"
}
# Without curl: a bare Debian has none.
ask() {
    exec 3<>/dev/tcp/127.0.0.1/9469
    printf 'GET %s HTTP/1.0\r\n\r\n' "$1" >&3
    cat <&3
    exec 3<&-
}
is_well() { [[ "$(ask /healthz)" == 'HTTP/1.1 200'* ]]; }
lines() { cat /var/log/certsift/enriched.ndjson 2>/dev/null | wc -l; }
has_read_all() { [[ "$(ask /metrics)" == *'certsift_input_lag_bytes{input="/srv/logs/ssl.log"} 0'* ]]; }
has_lines() { [ "$(lines)" -ge "$1" ]; }
property() { systemctl show --value --property "$1" certsift.service; }
session() {
    printf '{"ts":%s.0,"uid":"C%s","id.orig_h":"10.0.0.1","id.orig_p":5000,"id.resp_h":"192.0.2.1","id.resp_p":443,"version":"TLSv13","server_name":"a.example","resumed":false,"established":true}\n' "$1" "$1"
}

say "== installing"
dpkg -i /root/certsift.deb >/dev/null || fail "dpkg -i"
certsift --version
say "user: $(getent passwd certsift)"
[ "$(stat -c '%U:%G %a' /etc/certsift/certsift.toml)" = "root:certsift 640" ] || fail "rights of the configuration"
[[ "$(zcat /usr/share/man/man1/certsift.1.gz)" == *'.TH certsift'* ]] || fail "the manual page"
bash -n /usr/share/bash-completion/completions/certsift || fail "the completion of bash"

if [ -d /run/systemd/system ]; then
    say "== starting without inputs: refused, with the reason"
    systemctl start certsift.service 2>/dev/null && fail "it runs without inputs"
    systemctl stop certsift.service
    systemctl reset-failed certsift.service 2>/dev/null || true
    journalctl --no-pager --output=cat -u certsift.service | grep 'no input is configured' | tail -n 1 | grep . ||
        fail "the reason is not said"

    say "== starting as a service, with logs that only a group may read"
    groupadd --system sensor
    install -d -m 0750 -g sensor /srv/logs
    session 1760000001 >/srv/logs/ssl.log
    chmod 0640 /srv/logs/ssl.log
    chgrp sensor /srv/logs/ssl.log
    printf '[[input]]\npaths = ["/srv/logs/ssl.log"]\n' >>/etc/certsift/certsift.toml
    printf '[[input]]\nsocket = "unix-stream:/run/certsift/s.sock"\nsocket_mode = "0666"\n' >>/etc/certsift/certsift.toml
    mkdir -p /etc/systemd/system/certsift.service.d
    printf '[Service]\nSupplementaryGroups=sensor\nWatchdogSec=4s\nRestartSec=1s\n' \
        >/etc/systemd/system/certsift.service.d/check.conf
    systemctl daemon-reload
    systemctl start certsift.service || fail "systemctl start"
    systemctl enable certsift.service 2>/dev/null
    wait_for "the first record" has_lines 1
    wait_for "health" is_well
    wait_for "the end of the log" has_read_all
    runuser -u certsift -- certsift check --config /etc/certsift/certsift.toml | tail -n 1
    say "state: $(property ActiveState), $(property SubState); status: $(property StatusText)"
    process="$(property MainPID)"
    say "user: $(ps -o user= -p "$process" 2>/dev/null || stat -c %U "/proc/$process")"
    grep -E '^(NoNewPrivs|Seccomp|CapEff|CapBnd):' "/proc/$process/status" | tr '\t\n' ' ;'; echo
    grep -q '^NoNewPrivs:[[:space:]]*1$' "/proc/$process/status" || fail "new privileges"
    grep -q '^Seccomp:[[:space:]]*2$' "/proc/$process/status" || fail "no filter of system calls"
    grep -q '^CapEff:[[:space:]]*0*$' "/proc/$process/status" || fail "capabilities"
    writable="$(awk '$5 !~ "^/(proc|sys|dev|run|tmp|var/tmp)(/|$)" && $6 ~ /^rw/ { print $5 }' "/proc/$process/mountinfo" | sort -u | tr '\n' ' ')"
    say "writable: $writable"
    [ "$writable" = "/var/lib/certsift /var/log/certsift " ] || fail "more can be written than it should"
    ask /metrics | grep -E '^certsift_(records_written_total\{log="zeek.ssl"\}|input_lag_bytes|healthy)'
    systemd-analyze security --no-pager certsift.service | tail -n 1

    say "== reload, and going on, over a socket as well"
    systemctl reload certsift.service || fail "systemctl reload"
    session 1760000002 >>/srv/logs/ssl.log
    wait_for "the second record" has_lines 2
    session 1760000009 | runuser -u nobody -- perl -MIO::Socket::UNIX -e \
        '$to = IO::Socket::UNIX->new("/run/certsift/s.sock") or die "$!"; print $to <STDIN>'
    wait_for "the record of the socket" has_lines 3
    [ "$(property MainPID)" = "$process" ] || fail "a reload is no restart"

    say "== the watchdog: it lives while it works, and is started again when it stands still"
    sleep 9
    [ "$(property MainPID)" = "$process" ] || fail "the watchdog ended what works"
    kill -STOP "$process"
    session 1760000003 >>/srv/logs/ssl.log
    wait_for "the record after the watchdog" has_lines 4
    [ "$(property MainPID)" != "$process" ] || fail "the watchdog does not bark"
    say "restarts: $(property NRestarts)"

    say "== stopping"
    systemctl stop certsift.service
    say "result: $(property Result), code $(property ExecMainStatus)"
    [ "$(property Result)" = success ] || fail "the stop is no success"
    [ "$(grep -o '"uid":"[^"]*"' /var/log/certsift/enriched.ndjson | sort | uniq -c | awk '{ print $1 }' | sort -u)" = 1 ] ||
        fail "a record was written twice"
    say "records: $(lines), each once"
    complaints="$(journalctl --no-pager --output=cat -u certsift.service | grep -E ' (WARN|ERROR) ' | grep -v 'cannot be read' || true)"
    [ -z "$complaints" ] || say "warnings: $complaints"
    systemctl start certsift.service
else
    say "SKIPPED: the service: systemd does not run here"
    install -d -o certsift -g certsift /var/lib/certsift /var/log/certsift
    touch /var/lib/certsift/certsift.redb
fi

say "== upgrading, which goes on with the service"
before="$([ -d /run/systemd/system ] && property MainPID || true)"
dpkg -i /root/certsift.deb >/dev/null 2>&1 || fail "dpkg -i once more"
if [ -d /run/systemd/system ]; then
    [ "$(property ActiveState)" = active ] && [ "$(property MainPID)" != "$before" ] || fail "the upgrade did not restart it"
    grep -q '/srv/logs' /etc/certsift/certsift.toml || fail "the upgrade lost the configuration"
fi

say "== removing"
dpkg -r certsift >/dev/null || fail "dpkg -r"
[ ! -e /usr/bin/certsift ] || fail "the program is still there"
[ -d /run/systemd/system ] && systemctl is-active --quiet certsift.service && fail "it still runs"
say "left of the state: $(find /var/lib/certsift -type f | sort | tr '\n' ' ')"
[ -e /var/lib/certsift/certsift.redb ] || fail "the state is gone"
[ -e /etc/certsift/certsift.toml ] || fail "the configuration is gone"

say "== purging"
dpkg -P certsift | grep '^certsift: ' || fail "nothing was said of what stays"
[ ! -e /etc/certsift/certsift.toml ] || fail "the configuration is still there"
[ -e /var/lib/certsift/certsift.redb ] || fail "the state is gone"
