# What tests/run and tests/release have in common: words, processes, packages, and the list of what this machine cannot run.
# They source it from the root of the repository. Works with the bash of macOS (3.2).

readonly STOP_SECONDS=10    # a process that has not ended by then is killed
readonly POLICY=/usr/sbin/policy-rc.d

dir='' guarded=no list_is_ours=no

say() { printf '%s\n' "$*" >&2; }
die() { say "tests/${0##*/}: $1"; exit "${2:-1}"; }

alive() { [ -n "$1" ] && kill -0 "$1" 2>/dev/null; }

# stop PID SIGNAL: signal, wait, and kill what does not go
stop() {
  local waited=0
  kill -"$2" "$1" 2>/dev/null || return 0
  while alive "$1" && [ $waited -lt $((STOP_SECONDS * 10)) ]; do sleep 0.1; waited=$((waited + 1)); done
  kill -KILL "$1" 2>/dev/null || true
}

# A port that nobody listens on, below the range the kernel hands out by itself. Somebody may still take it before the
# server does: the server then stops at once, and the caller tries another.
free_port() {
  local port
  while :; do
    port=$((20000 + RANDOM % 12000))
    if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
      echo "$port"
      return
    fi
  done
}

# ------------------------------------------------------------------------------------------------ what is installed

may_install() {
  [ "${LUMO_TEST_INSTALL:-yes}" != no ] || return 1
  [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null
}

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }

# Debian starts what it installs unless this file says no. One that is there already is put back afterwards.
services_may_not_start() {
  guarded=yes
  if [ -e $POLICY ] && ! grep -qs 'lumo-bridge tests' $POLICY; then as_root mv -f $POLICY $POLICY.before-tests; fi
  printf '#!/bin/sh\n# lumo-bridge tests: nothing starts while it installs packages\nexit 101\n' |
    as_root tee $POLICY >/dev/null
  as_root chmod 755 $POLICY
}

services_may_start() {
  [ $guarded = yes ] || return 0
  guarded=no
  if [ -e $POLICY.before-tests ] || [ -L $POLICY.before-tests ]; then
    as_root mv -f $POLICY.before-tests $POLICY
  else
    as_root rm -f $POLICY
  fi
}

# install_package WHAT APT DNF APK PACMAN: each a list of packages or, with |, of alternatives
install_package() {
  local what=$1 packages one done=no log=$dir/install.log
  if ! may_install; then return 1; fi
  if command -v apt-get >/dev/null; then
    say "installing $what with apt-get (${2%%|*})"
    services_may_not_start
    as_root apt-get -qq -o DPkg::Lock::Timeout=300 update >"$log" 2>&1 </dev/null || true
    packages=$2
    while [ -n "$packages" ] && [ $done = no ]; do
      one=${packages%%|*}
      if [ "$one" = "$packages" ]; then packages=''; else packages=${packages#*|}; fi
      # shellcheck disable=SC2086 # a list
      if as_root env DEBIAN_FRONTEND=noninteractive apt-get -y -q -o DPkg::Lock::Timeout=300 \
        install --no-install-recommends $one >>"$log" 2>&1 </dev/null; then done=yes; fi
    done
    services_may_start
  elif command -v dnf >/dev/null; then
    say "installing $what with dnf ($3)"
    if as_root dnf -y -q install "$3" >"$log" 2>&1 </dev/null; then done=yes; fi
  elif command -v apk >/dev/null; then
    say "installing $what with apk ($4)"
    if as_root apk add --no-progress "$4" >"$log" 2>&1 </dev/null; then done=yes; fi
  elif command -v pacman >/dev/null; then
    say "installing $what with pacman ($5)"
    if as_root pacman -S --noconfirm --needed "$5" >"$log" 2>&1 </dev/null; then done=yes; fi
  else
    return 1
  fi
  if [ $done = no ]; then tail -n 20 "$log" >&2; return 1; fi
  hash -r
}

# ------------------------------------------------------------------------------------------------ what could not run

# Tests and scripts add a line to this file for everything that they cannot run here.
open_list() {
  if [ -z "${LUMO_TEST_NOT_RUN:-}" ]; then
    list_is_ours=yes
    export LUMO_TEST_NOT_RUN=$dir/not-run
    : >"$LUMO_TEST_NOT_RUN"
  fi
}

not_run() { printf '%s\n' "$1" >>"$LUMO_TEST_NOT_RUN"; }

# close_list: names what could not run; 1 where everything must
close_list() {
  if [ $list_is_ours = no ] || [ ! -s "$LUMO_TEST_NOT_RUN" ]; then return 0; fi
  echo
  echo "not run on this machine:"
  sort -u "$LUMO_TEST_NOT_RUN" | sed 's/^/  /'
  if [ "${CI:-}" = true ]; then
    echo "with CI=true everything must run"
    return 1
  fi
}
